"""Whether a source is as it was when it was named last: then its name is known without a survey."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import dataclass
from pathlib import Path

from bench.data.fingerprint import SETTLED_NS
from bench.data.sources.places import FolderSource, ImageSource
from bench.data.sources.reading import stamp_of
from bench.files import sealed, unsealed, write_json

FILE = "name.json"


@dataclass(frozen=True)
class State:
    """Files of a source with their stamps, splits and classes, as one hash.

    settled: whether none of them has changed within the last two seconds.
    """

    sha256: str
    settled: bool

    @staticmethod
    def of(source: ImageSource) -> State:
        """How the source is now; raises UserError where it cannot be listed."""
        if isinstance(source, FolderSource):
            listing = source.listing()
            found = {p: [listing.split_of(p), listing.class_of(p)] for p in listing.paths}
            root, classes = source.root, None
        else:
            found = {path: [split] for path, split in source.shards().items()}
            root, classes = "", source.class_names()
        of_all, latest = hashlib.sha256(json.dumps(classes).encode()), 0
        for place, told in found.items():
            stamp = stamp_of(Path(root, place))
            latest = max(latest, stamp[1])
            of_all.update(f"{json.dumps([place, *told, *stamp])}\n".encode())
        return State(of_all.hexdigest(), latest < time.time_ns() - SETTLED_NS)


def remember(memory: Path, state: State, *, digest: str, place: str) -> None:
    """Note in the folder of a survey which digest a source has in a state, and where it was put."""
    if state.settled:
        told = {"state": state.sha256, "digest": digest, "place": place}
        write_json(memory / FILE, sealed(told))


def recall(memory: Path, state: State) -> tuple[str, str] | None:
    """Digest and place of a source in this state; None where it was in another one."""
    try:
        told = unsealed((memory / FILE).read_bytes())
        return (told["digest"], told["place"]) if told["state"] == state.sha256 else None
    except (OSError, ValueError, KeyError):
        return None
