"""Two sides set against each other: group by group, metric by metric, paired by seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from bench.compare.measured import Measured
from bench.compare.paired import Difference, corrected
from bench.compare.price import METRIC
from bench.compare.price_block import PriceBlock, price_block
from bench.compare.sides import Side
from bench.errors import UserError
from bench.metrics.declared import COMPARED, declared_metric
from bench.records.groups import Group
from bench.records.protocol import require_one_protocol

TOLERANCE = 0.01


class NoMatch(UserError):
    """Nothing of the two sides can be compared."""


@dataclass(frozen=True)
class Row:
    """B minus A of one metric of one match; `group` is B's.

    `budget` is None where the metric is of a whole allocation, `seed` the path of the seed that
    pairs them, `difference` corrected by Holm over all rows.
    """

    group: str
    budget: int | None
    metric: str
    seed: str
    difference: Difference


@dataclass(frozen=True)
class Comparison:
    """All differences, what else is to be said, and the price where one side alone is elastic."""

    rows: tuple[Row, ...]
    notes: tuple[str, ...]
    price: PriceBlock | None = None

    @property
    def worse(self) -> bool:
        """Whether anything is significantly worse on B; prices decide where nothing else does."""
        if not self.rows and self.price is not None:
            return self.price.worse
        return any(row.difference.verdict == "worse" for row in self.rows)


def compare(a: Side, b: Side, *, metrics: Sequence[str] = (), seed: int = 0) -> Comparison:
    """Every group of B against its match in A, by default in the metrics of `COMPARED`.

    Groups match by their label; without the arm's name where each side is of one arm; and in any
    case where each side is one group. Curves are compared at the budgets that both have.
    Elastic tokenizers against tokenizers of one length have a price, and need no other match.
    `seed` is of the bootstrap over images, which stands in where there is one seed.

    Raises:
        UserError: an unknown metric, no match, no budget or metric in common, or two protocols.
    """
    for metric in metrics:
        if not declared_metric(metric, where="--metric").judged:
            raise UserError(f"--metric {metric}: neither more nor less of it is better; drop it")
    price = price_block(a, b) if METRIC in (metrics or (METRIC,)) else None
    try:
        rows, notes = _compared(a, b, metrics, seed)
    except NoMatch:
        if price is None or not price.rows:
            raise
        rows, notes = [], _unfinished(a, b)
    adjusted = corrected([row.difference for row in rows])
    rows = [replace(row, difference=one) for row, one in zip(rows, adjusted, strict=True)]
    return Comparison(tuple(rows), tuple(notes), price)


def _compared(a: Side, b: Side, metrics: Sequence[str], seed: int) -> tuple[list[Row], list[str]]:
    """The rows of all matches, and what else is to be said; raises `NoMatch` without a row."""
    matches = _matches(a, b)
    pairs = [group for match in matches for group in match]
    require_one_protocol([r.protocol for group in pairs for r in group.records if r.protocol])
    notes, left_out, found = _unmatched(a, b, matches), [], []
    for ours, theirs in matches:
        places = _places(ours, theirs)
        if not places:
            left_out.append(f"{theirs.label}: no budget in common with {ours.label}")
        notes += _notes(ours, theirs, allocations=places == [None])
        for place in places:
            for metric in metrics or COMPARED:
                one = Measured(ours, theirs, metric, place, (a.store, b.store))
                problem = one.problem
                if not problem and (metrics or not one.stands_in):
                    found.append(Row(theirs.label, place, metric, one.seed, one.difference(seed)))
                elif problem and metrics:
                    at = "" if place is None else f" at {place} tokens"
                    left_out.append(f"{theirs.label}{at}: {metric}: {problem}")
    if not found:
        asked = f"no metric of {', '.join(COMPARED)} in common; give a --metric"
        raise NoMatch(f"not comparable: {left_out[0] if left_out else asked}")
    return found, [*notes, *left_out]


def _matches(a: Side, b: Side) -> list[tuple[Group, Group]]:
    if len(a.groups) == len(b.groups) == 1:
        return [(a.groups[0], b.groups[0])]
    alone = a.arm is not None and b.arm is not None

    def name(group: Group) -> str:
        return group.label.removeprefix(group.records[0].arm) if alone else group.label

    ours = {name(group): group for group in a.groups}
    found = [(ours[name(group)], group) for group in b.groups if name(group) in ours]
    if not found:
        labels = [", ".join(group.label for group in side.groups[:3]) for side in (a, b)]
        raise NoMatch(
            f"not comparable: no group of {a.name} ({labels[0]}) has its match in {b.name} "
            f"({labels[1]}); pick one of each with SUITE:GROUP"
        )
    return found


def _unmatched(a: Side, b: Side, matches: list[tuple[Group, Group]]) -> list[str]:
    """Cells without a result, and groups that one side alone has."""
    notes = []
    for place, side in enumerate((a, b)):
        matched = [match[place] for match in matches]
        alone = [group.label for group in side.groups if group not in matched]
        notes += [f"only in {side.name}: {label}" for label in alone]
    return [*notes, *_unfinished(a, b)]


def _unfinished(*sides: Side) -> list[str]:
    return [
        f"{record.status} in {side.name}: {record.label}: {record.error or 'not run'}"
        for side in sides
        for record in side.unfinished
    ]


def _places(ours: Group, theirs: Group) -> list[int | None]:
    """Budgets at which both have a curve; None, once, where one of the two has none."""
    budgets: list[list[set[int | None]]] = [
        [{row.budget for row in record.curve} for record in group.records]
        for group in (ours, theirs)
    ]
    if not all(any(side) for side in budgets):
        return [None]
    return sorted(set.intersection(*budgets[0], *budgets[1]), key=lambda budget: budget or 0)


def _notes(ours: Group, theirs: Group, *, allocations: bool) -> list[str]:
    """Where two allocations do not spend the same, and where equal tokens are not equal bits."""
    notes = []
    spent = _means("mean_tokens", ours, theirs) if allocations else None
    if spent:
        notes.append(f"not at equal mean tokens: A spends {spent[0]:.2f}, B {spent[1]:.2f}")
    if bits := _means("bits_per_token", ours, theirs):
        token = f"a token of A has {bits[0]:.4g} bits, one of B {bits[1]:.4g}"
        notes.append(f"equal tokens are not equal bits: {token}")
    return [f"{theirs.label}: {note}" for note in notes]


def _means(metric: str, ours: Group, theirs: Group) -> tuple[float, float] | None:
    """Means of both; None where they are alike within 1 %, or a cell does not know it."""
    values = [[r.metrics.value(metric) for r in group.records] for group in (ours, theirs)]
    a, b = ([value for value in side if value is not None] for side in values)
    if [len(a), len(b)] != [*map(len, values)] or abs(fmean(b) / fmean(a) - 1) <= TOLERANCE:
        return None
    return fmean(a), fmean(b)
