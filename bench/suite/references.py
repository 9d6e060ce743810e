"""A tokenizer's length read from the result of other cells of its suite."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from bench.config.budget_reference import BudgetReference
from bench.errors import UserError, suggestion
from bench.suite.cells import Cell


def sources_where(
    reference: BudgetReference, earlier: list[Cell], names: list[str], *, where: str
) -> tuple[int, ...]:
    """Indices of the earlier cells of the arm that have the settings `reference.where`.

    Raises:
        UserError: no such arm, or none before this one; an unknown key; no such cell, or one
            without a policy.
    """
    arm = reference.mean_budget_of
    of_arm = [index for index, cell in enumerate(earlier) if cell.arm == arm]
    if not of_arm:
        reason = "stands later in the file" if arm in names else "is no arm of this suite"
        others = sorted({cell.arm for cell in earlier})
        raise UserError(f"{where}.mean_budget_of: '{arm}' {reason}{suggestion(arm, others)}")
    matching = _matching(of_arm, earlier, reference.where.items(), where=f"{where}.where")
    configs = [earlier[index].config for index in matching]
    if not all(one.allocates and one.kind == "reconstruction" for one in configs) or not configs:
        raise UserError(
            f"{where}.where: no cell of arm '{arm}' with a policy has {reference.where}"
        )
    return matching


def sources_same(
    reference: BudgetReference,
    sources: tuple[int, ...],
    earlier: list[Cell],
    own: dict[str, Any],
    *,
    where: str,
) -> tuple[int, ...]:
    """Those of `sources` whose settings equal `own` at every path of `reference.same`.

    Raises:
        UserError: an unknown key, or no such cell.
    """
    where = f"{where}.same"
    values = {path: lookup(own, path, where=where) for path in reference.same}
    matching = _matching(sources, earlier, values.items(), where=where)
    if not matching:
        wanted = {**reference.where, **values}
        raise UserError(
            f"{where}: no cell of arm '{reference.mean_budget_of}' with a policy has {wanted}"
        )
    return matching


def lookup(settings: dict[str, Any], dotted: str, *, where: str) -> Any:
    """A value by dotted path, tuples as lists.

    Raises:
        UserError: no such key.
    """
    value: Any = settings
    for name in dotted.split("."):
        if not isinstance(value, dict) or name not in value:
            valid = list(value) if isinstance(value, dict) else []
            raise UserError(f"{where}: {dotted}: unknown key{suggestion(name, valid)}")
        value = value[name]
    return list(value) if isinstance(value, tuple) else value


def _matching(
    indices: Iterable[int],
    cells: list[Cell],
    wanted: Iterable[tuple[str, Any]],
    *,
    where: str,
) -> tuple[int, ...]:
    wanted = list(wanted)
    return tuple(
        index
        for index in indices
        if all(lookup(cells[index].settings, path, where=where) == value for path, value in wanted)
    )
