"""Settings by dotted path: flattened, and those in which records differ."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from bench.errors import UserError
from bench.files import canonical_json

if TYPE_CHECKING:
    from bench.config.budget_reference import BudgetReference
    from bench.records.record import Record


def flatten(settings: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Leaves of nested settings by dotted path; lists are one value."""
    for name, value in settings.items():
        if isinstance(value, dict):
            yield from flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def varying(records: Sequence[Record]) -> set[str]:
    """Paths of the settings that are not the same in all records that have them."""
    return varying_settings([record.settings for record in records])


def varying_settings(settings: Iterable[dict[str, Any]]) -> set[str]:
    """The same of settings alone."""
    seen: dict[str, set[str]] = {}
    for one in settings:
        for path, value in flatten(one):
            seen.setdefault(path, set()).add(canonical_json(value))
    return {path for path, values in seen.items() if len(values) > 1}


def apart(records: Sequence[Record]) -> list[str]:
    """Paths of the settings, seeds left out, in which records differ or that some of them lack.

    A length that comes from a policy's result is no setting of its own: it follows the seeds.
    """
    return settings_apart([own_settings(one.settings, one.length_from) for one in records])


def settings_apart(settings: Sequence[dict[str, Any]]) -> list[str]:
    """The same of settings as `own_settings` gives them."""
    flat = [dict(flatten(one)) for one in settings]
    paths = dict.fromkeys(path for one in flat for path in one if not is_seed(path))
    first = flat[0] if flat else {}
    return [path for path in paths if any(not _same(one, first, path) for one in flat)]


def own_settings(settings: dict[str, Any], length_from: BudgetReference | None) -> dict[str, Any]:
    """The settings, with a length that comes from a policy's result as where it comes from."""
    if length_from is None:
        return settings
    budgets = {"from": str(length_from)}
    return {**settings, "tokenizer": {**settings["tokenizer"], "budgets": budgets}}


def repetitions(records: Sequence[Record]) -> dict[str, list[Record]]:
    """Records by the label of their group, each group in the order given.

    Raises:
        UserError: two records of one label differ in more than seeds, as where a suite was edited.
    """
    groups: dict[str, list[Record]] = {}
    for record in records:
        groups.setdefault(record.group, []).append(record)
    for label, (first, *others) in groups.items():
        for other in others:
            if paths := apart([first, other]):
                values = " and ".join(str(one.setting(paths[0])) for one in (first, other))
                raise UserError(
                    f"cells {first.cell_key} and {other.cell_key} of suite '{first.suite}' are "
                    f"both called '{label}' but differ in {paths[0]} ({values}), so they are no "
                    "repetitions; run the suite again, which tells its cells from older ones"
                )
    return groups


def is_seed(path: str) -> bool:
    """Whether a setting tells repetitions of one experiment apart."""
    return path.endswith("seed")


def _same(one: dict[str, Any], other: dict[str, Any], path: str) -> bool:
    """Equal values, of one type: 1 is neither 1.0 nor true where a cell's key tells them apart."""
    if (path in one) != (path in other):
        return False
    return canonical_json(one.get(path)) == canonical_json(other.get(path))
