"""A part of a set's images: the first ones, or those that a list names."""

import difflib
import hashlib
import os
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from adatok_core.config.checks import Strict
from bench.errors import UserError
from bench.files import open_regular

MOST_BYTES = 2**28
# Comparing with more names than these takes longer than a line is worth.
MOST_COMPARED = 100_000


@dataclass(frozen=True, kw_only=True)
class ImageIds(Strict):
    """Images by their ids, one a line in `file`.

    They are known by `sha256` of the sorted ids, and are `count` many; both are read where a suite
    does not give them, and the file is refused where it is another one than they say.
    """

    file: str
    sha256: str | None = None
    count: int | None = None


@dataclass(frozen=True, kw_only=True)
class Selectable(Strict):
    """Base of image sources of which a part can be taken.

    `limit` takes the first images of each split, in the set's own order. `ids` takes those of a
    list, from each split that it names any image of; the others stay whole. With both, the first of
    those that are listed.
    """

    limit: int | None = None
    ids: ImageIds | None = None

    def __post_init__(self) -> None:
        if self.limit is not None and self.limit < 1:
            raise ValueError("limit must be at least 1, or null")

    @property
    def selection(self) -> dict[str, Any] | None:
        """What is taken, by content; None where all is."""
        found: dict[str, Any] = {} if self.limit is None else {"limit": self.limit}
        if self.ids is not None:
            found["ids_sha256"] = self.ids.sha256
        return found or None


def read_ids(given: ImageIds, *, key: str = "data.ids") -> tuple[ImageIds, frozenset[str]]:
    """The list with its hash and count, and its ids; empty lines and repeated ids do not count.

    Raises:
        UserError: it cannot be read, has no ids, or is not the list that `given` says.
    """
    path = Path(os.path.expanduser(given.file))
    try:
        with open_regular(path) as file:
            text = file.read(MOST_BYTES + 1).decode("utf-8-sig")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "is not UTF-8"
        raise UserError(f"{key}: cannot read {path}: {reason}; give one image id a line") from None
    ids = frozenset(line.strip() for line in text.splitlines()) - {""}
    if not ids or len(text) > MOST_BYTES:
        raise UserError(f"{key}: {path} has {'too many' if ids else 'no'} ids; give one a line")
    sha256 = hashlib.sha256("\n".join(sorted(ids)).encode()).hexdigest()
    if given.sha256 not in (None, sha256):
        raise UserError(
            f"{key}: {path} is another list ({sha256[:12]}) than the one that is meant "
            f"({str(given.sha256)[:12]}); give that one, or leave out sha256 and count"
        )
    return ImageIds(file=str(path.absolute()), sha256=sha256, count=len(ids)), ids


def require_known(ids: Iterable[str], known: Collection[str], *, key: str = "data.ids") -> None:
    """Refuse ids of images that are not there.

    Raises:
        UserError: says how many, and of the first one which name is nearest.
    """
    unknown = sorted(set(ids).difference(known))
    if not unknown:
        return
    near: list[str] = []
    if len(known) <= MOST_COMPARED:
        near = difflib.get_close_matches(unknown[0], list(known), n=1, cutoff=0)
    hint = f" (nearest: '{near[0]}')" if near else ""
    raise UserError(
        f"{key}: {len(unknown)} of the ids are of no image that is here, such as "
        f"'{unknown[0]}'{hint}; correct the list"
    )


def chosen(names: Sequence[str], *, limit: int | None, listed: frozenset[str] | None) -> np.ndarray:
    """Positions of the images to take, increasing; see `Selectable`."""
    places = np.arange(len(names))
    if listed is not None:
        inside = np.array([name in listed for name in names], dtype=bool)
        places = places[inside] if inside.any() else places
    return places[:limit]
