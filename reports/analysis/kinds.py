"""Which records a table is about, and what their protocol is in one line."""

from __future__ import annotations

from collections.abc import Sequence

from reports.analysis.groups import Record


def reconstructions(records: Sequence[Record]) -> list[Record]:
    """Records of cells that reconstruct images: those that name no other kind."""
    return [
        record for record in records if record.get("kind", "reconstruction") == "reconstruction"
    ]


def protocol_line(records: Sequence[Record]) -> str:
    """`2000 validation images of 32 px, protocol 0123...`: under what the numbers were made."""
    record = next(record for record in records if record["status"] == "done")
    protocol = record["protocol"]
    return (
        f"{protocol['images_count']} validation images of {protocol['resolution']} px, protocol "
        f"{record['protocol_hash']}"
    )
