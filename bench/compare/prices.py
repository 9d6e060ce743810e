"""Elastic tokenizers set against tokenizers of one length: at which places, and against which.

A partner has the same images, seeds and length. Where several arms have it, the one of equal
optimizer steps is taken first (else the nearest), then the one whose learning rate starts anew as
often, of the most alike recipe, of the most seeds, and last the one of least distortion: the
strongest. Where that one's decoder passes are not equal, a partner whose passes are is shown
beside it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

from bench.compare.cost import CostRatio, cost_of, cost_ratio, trainings_of
from bench.compare.elastic_arms import (
    ElasticArm,
    FixedArm,
    Values,
    averaged,
    data_of,
    differences_in_recipe,
    elastic_arms,
    fixed_arms,
    fixed_label,
    length_of,
    seeds_of,
)
from bench.compare.paired import corrected
from bench.compare.price import METRIC, PARTS, Parts, Ratio, parts, ratio
from bench.records.groups import Group, has_collapsed
from bench.records.record import Record

NEAR = 0.1  # Of a mean number of tokens; one token at least, since a policy's mean varies by seed.
SeedOf = Callable[[Record], Any]


@dataclass(frozen=True)
class Price:
    """One elastic arm at one place against one partner; see `bench.compare.price`.

    The place is a `budget`, or the mean of the `allocation`, where `parts` are known. `tokens` are
    ours, `lengths` theirs; `sides` are distortions by seed of `elastic`, `fixed`, `policy`,
    `oracle`. `record` is one of ours there with a result; `planned` is how many seeds the elastic
    arm has, with results or without.
    """

    arm: str
    budget: int | None
    tokens: float
    lengths: tuple[int, ...]
    against: str
    cost: CostRatio
    price: Ratio
    sides: Mapping[str, Values]
    record: Record
    planned: int
    allocation: str = ""
    parts: Parts | None = None
    remarks: tuple[str, ...] = ()
    cells: tuple[str, ...] = ()

    @property
    def steps(self) -> int:
        """Optimizer steps of the elastic side, over all its trainings."""
        return cost_of(self.record).steps

    @property
    def ratios(self) -> dict[str, Ratio]:
        """The price, and the parts where there are any."""
        if self.parts is None:
            return {"price": self.price}
        return {name: getattr(self.parts, name) for name in PARTS}

    @property
    def whole(self) -> Ratio:
        """All of the difference to the fixed length: a budget's price, a policy's net."""
        return self.price if self.parts is None else self.parts.net

    @property
    def place(self) -> str:
        """`at 4 tokens`, `at the mean of the policy`."""
        if self.budget is None:
            return "at the mean of the policy"
        return f"at {self.budget} token{'s' * (self.budget != 1)}"


@dataclass(frozen=True)
class Prices:
    """All that can be told, in the order of the suite, and why the rest cannot: `arm: reason`."""

    found: tuple[Price, ...]
    missing: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Place:
    """The elastic side at one place: distortions by seed, and the mean tokens of each seed."""

    values: Values
    tokens: Values
    cells: list[str]
    is_budget: bool

    def takes(self, length: int, tokens: float) -> bool:
        """Whether a tokenizer of this length is a partner where our mean is so many tokens."""
        slack = 0.0 if self.is_budget else max(1.0, NEAR * tokens)
        return abs(length - tokens) <= slack


@dataclass(frozen=True)
class _Partner:
    values: Values
    records: list[Record]
    against: str
    cost: CostRatio
    rank: tuple[Any, ...]


def prices(records: Sequence[Record]) -> Prices:
    """Prices of all elastic arms, each at all lengths that a tokenizer is trained for alone.

    Each ratio's `p` is by Holm over all that are of the same kind.
    """
    found: list[Price] = []
    missing: list[str] = []
    seed_of = seeds_of(records)
    fixed = fixed_arms(records, seed_of)
    for arm in elastic_arms(records):
        if not arm.done:
            missing.append(f"{arm.label}: no cell of it has a result")
            continue
        rivals = [one for one in fixed if data_of(one.first) == data_of(arm.records[0])]
        here = [*_at_budgets(arm, rivals, seed_of), *_at_means(arm, rivals, seed_of)]
        found += here
        missing += _missing(arm, here)
    return Prices(tuple(_corrected(found)), tuple(missing))


def _corrected(rows: Sequence[Price]) -> list[Price]:
    means = [row.parts for row in rows if row.parts is not None]
    columns = {name: iter(corrected([getattr(one, name) for one in means])) for name in PARTS[1:]}
    made = []
    for row, price in zip(rows, corrected([row.price for row in rows]), strict=True):
        if row.parts is None:
            made.append(replace(row, price=price))
        else:
            changed = {name: next(column) for name, column in columns.items()}
            made.append(replace(row, price=price, parts=Parts(price=price, **changed)))
    return made


def _at_budgets(arm: ElasticArm, rivals: Sequence[FixedArm], seed_of: SeedOf) -> list[Price]:
    found = []
    for budget, trained in arm.budgets.items():
        values = arm.at(budget, seed_of)
        cells = [one.cell_key for one in arm.done if one.curve]
        place = _Place(values, dict.fromkeys(values, float(budget)), cells, is_budget=True)
        for partner in _partners(arm, rivals, place, seed_of):
            price = ratio(values, partner.values)
            sides = {"elastic": values, "fixed": partner.values}
            remarks = () if trained else ("length never trained",)
            found.append(_price(arm, place, partner, price, sides, seed_of, budget=budget,
                                remarks=remarks))  # fmt: skip
    return found


def _at_means(arm: ElasticArm, rivals: Sequence[FixedArm], seed_of: SeedOf) -> list[Price]:
    found = []
    for group in arm.policies:
        place, sides = _policy_sides(group, seed_of)
        for partner in _partners(arm, rivals, place, seed_of):
            whole = {**sides, "fixed": partner.values}
            made = parts(
                policy=sides["policy"], agnostic=sides["elastic"], oracle=sides["oracle"],
                fixed=partner.values,
            )  # fmt: skip
            collapsed = sum(map(has_collapsed, group.records))
            remarks = [f"{collapsed} collapsed to one budget"] if collapsed else []
            off = fmean(place.tokens.values()) - fmean(map(length_of, partner.records))
            remarks += ["not at equal tokens"] if abs(off) > 0.5 else []
            about = {"allocation": group.label, "parts": made, "remarks": tuple(remarks)}
            price = _price(arm, place, partner, made.price, whole, seed_of, **about)
            found.append(replace(price, record=group.records[0]))
    return found


def _policy_sides(group: Group, seed_of: SeedOf) -> tuple[_Place, dict[str, Values]]:
    """The place of a policy, and the distortions of its own tokenizer there."""

    def control(name: str) -> Values:
        known = [one for one in group.records if name in one.controls]
        return averaged((seed_of(one), one.controls[name].value(METRIC)) for one in known)

    def own(metric: str) -> Values:
        return averaged((seed_of(one), one.metrics.value(metric)) for one in group.records)

    sides = {"policy": own(METRIC), "elastic": control("agnostic"), "oracle": control("oracle")}
    cells = [record.cell_key for record in group.records]
    return _Place(sides["policy"], own("mean_tokens"), cells, is_budget=False), sides


def _partners(
    arm: ElasticArm, rivals: Sequence[FixedArm], place: _Place, seed_of: SeedOf
) -> list[_Partner]:
    """The partners at a place: of equal steps, and of equal decoder passes if that is another."""
    known = [_partner(arm, one, place, seed_of) for one in rivals]
    found = sorted((one for one in known if one is not None), key=lambda one: one.rank)
    if not found:
        return []
    first = found[0]
    passes = [one for one in found if one.cost.equal_passes]
    if first.cost.equal_passes or not passes:
        return [first]
    return [first, passes[0]] if first.cost.equal_steps else [passes[0]]


def _partner(arm: ElasticArm, rival: FixedArm, place: _Place, seed_of: SeedOf) -> _Partner | None:
    """The tokenizers of one arm that have the place's length, by the seeds of both."""
    records = []
    for seed, tokens in place.tokens.items():
        same = rival.done.get(seed, [])
        near = min(map(length_of, same), key=lambda k: abs(k - tokens), default=None)
        if near is not None and place.takes(near, tokens):
            records += [one for one in same if length_of(one) == near]
    values = averaged((seed_of(one), one.metrics.value(METRIC)) for one in records)
    common = [value for seed, value in values.items() if seed in place.values]
    if not common:
        return None
    ours, theirs = arm.done[0], records[0]
    cost = cost_ratio(arm.cost, cost_of(theirs))
    schedules = abs(len(trainings_of(ours)) - len(trainings_of(theirs)))
    differences = differences_in_recipe(ours, theirs)
    rank = (*cost.distance, schedules, differences, -len(common), fmean(common))
    against = ", ".join(dict.fromkeys(map(fixed_label, records)))
    return _Partner(values, records, against, cost, rank)


def _price(
    arm: ElasticArm, place: _Place, partner: _Partner, price: Ratio, sides: Mapping[str, Values],
    seed_of: SeedOf, **more: Any,
) -> Price:  # fmt: skip
    tokens = [value for seed, value in place.tokens.items() if seed in partner.values]
    return Price(
        arm=arm.label,
        **{"budget": None, **more},
        tokens=fmean(tokens),
        lengths=tuple(sorted({length_of(record) for record in partner.records})),
        against=partner.against,
        cost=partner.cost,
        price=price,
        sides=sides,
        record=arm.done[0],
        planned=len({seed_of(record) for record in arm.records}),
        cells=tuple(dict.fromkeys([*place.cells, *(one.cell_key for one in partner.records)])),
    )


def _missing(arm: ElasticArm, found: Sequence[Price]) -> list[str]:
    """Budgets and policies of an arm that nothing is set against."""
    priced = {one.budget for one in found}
    budgets = [str(budget) for budget in arm.budgets if budget not in priced]
    lines = []
    if budgets:
        lines.append(
            f"{arm.label}: no tokenizer of the same images and seeds is trained for "
            f"{', '.join(budgets)} tokens alone"
        )
    said = {one.allocation for one in found}
    for group in arm.policies:
        tokens = [record.metrics.value("mean_tokens") for record in group.records]
        known = [value for value in tokens if value is not None and math.isfinite(value)]
        if group.label not in said:
            mean = f"about {fmean(known):.3g} tokens" if known else "its mean tokens"
            lines.append(
                f"{group.label}: no tokenizer of the same images and seeds is trained for {mean} "
                "alone"
            )
    return lines
