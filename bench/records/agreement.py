"""Two sets of plain values held against each other, leaf by leaf."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

ABSENT = "absent"


class Difference(NamedTuple):
    """A leaf that is not the same on both sides, by its dotted path; `ABSENT` where it is none."""

    path: str
    ours: Any
    theirs: Any


def leaves(value: Any, *, without: Collection[str] = ()) -> int:
    """How many values there are, those under the names `without` left out."""
    if isinstance(value, dict):
        kept = (one for name, one in value.items() if name not in without)
        return sum(leaves(one, without=without) for one in kept)
    if isinstance(value, list):
        return sum(leaves(one, without=without) for one in value)
    return 1


def differences(
    ours: Any, theirs: Any, *, path: str = "", without: Collection[str] = ()
) -> Iterator[Difference]:
    """Leaves that are not exactly the same, those under the names `without` left out.

    Numbers are the same where they are equal, 1 and 1.0; true is no number.
    """
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for name in dict.fromkeys([*ours, *theirs]):
            if name not in without:
                sides = ours.get(name, ABSENT), theirs.get(name, ABSENT)
                at = f"{path}.{name}" if path else str(name)
                yield from differences(*sides, path=at, without=without)
    elif isinstance(ours, list) and isinstance(theirs, list):
        if len(ours) != len(theirs):
            yield Difference(f"{path} (number of)", len(ours), len(theirs))
        for place, sides in enumerate(zip(ours, theirs, strict=False)):
            yield from differences(*sides, path=f"{path}[{place}]", without=without)
    elif isinstance(ours, bool) is not isinstance(theirs, bool) or ours != theirs:
        yield Difference(path, ours, theirs)
