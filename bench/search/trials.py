"""The trials of a search, in `searches/<name>.json` of the store: settings, in order.

What they have come to is in the artifacts and records of their cells.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.errors import UserError
from bench.files import sealed, unsealed, write_json
from bench.search.drawing import Settings
from bench.store.store import Store


@dataclass(frozen=True)
class Drawn:
    """The settings of a trial; `refused` says why they are no valid cell, where they are not."""

    settings: Settings
    refused: str | None = None


def _path(root: Path, name: str) -> Path:
    return root / "searches" / f"{name}.json"


def read_trials(root: Path, name: str) -> list[Drawn]:
    """The trials that a store at `root` has of a search, in order; none where it has no such.

    Raises:
        UserError: the file is damaged, so that it is not known what was tried.
    """
    path = _path(root, name)
    try:
        return [Drawn(**one) for one in unsealed(path.read_bytes())["trials"]]
    except FileNotFoundError:
        return []
    except (ValueError, KeyError, TypeError):
        raise UserError(
            f"{path}: damaged, so the trials of this search are not known; remove it, and the same "
            "command draws them anew"
        ) from None


def write_trials(
    store: Store, name: str, about: dict[str, Any], trials: list[Drawn]
) -> list[Drawn]:
    """Add trials to those that are there, unless another run has: all of them then."""
    with store.locked(f"search-{name}"):
        there = read_trials(store.root, name)
        if len(there) >= len(trials):
            return there
        content = {**about, "trials": [asdict(one) for one in (*there, *trials[len(there) :])]}
        write_json(_path(store.root, name), sealed(content))
        return [*there, *trials[len(there) :]]
