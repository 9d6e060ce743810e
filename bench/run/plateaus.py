"""Trainings that have not ignited, told at the end of a run."""

from __future__ import annotations

from collections.abc import Sequence

from bench.records.record import Record

SHOWN = 3


def plateau_line(records: Sequence[Record]) -> str | None:
    """One line on the cells whose tokenizer hardly reconstructs more than an image's mean colour.

    Their last training of a tokenizer decides; None where all have ignited, or it is not known.
    """
    groups: list[str] = []
    for record in records:
        trainings = [one for one in record.stages if one.stage == "tokenizer"]
        if trainings and trainings[-1].ignition == "plateau":
            groups.append(record.group)
    names = list(dict.fromkeys(groups))
    if not names:
        return None
    shown = "; ".join(names[:SHOWN])
    more = f"; and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return (
        f"on a plateau: the tokenizer of {shown}{more} paints little more than an image's mean "
        "colour; train it for more steps, or with a full_share"
    )
