"""Arms of elastic tokenizers and of tokenizers of one length, told apart by their settings."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean
from typing import Any

from bench.compare.cost import Cost, cost_of
from bench.compare.price import METRIC
from bench.files import canonical_json
from bench.records.groups import Group, group_by_seed, is_allocation, is_policy, is_reconstruction
from bench.records.record import Record
from bench.records.settings_paths import flatten, is_seed
from bench.suite.labels import arm_and_sweep

BUDGETS = "tokenizer.budgets"
PARTS = ("tokenizer", "training", "codesign", "finetuning")
# How a training is tuned, and how it is watched: no difference between two recipes.
TUNED = ("learning_rate", "warmup_steps", "weight_decay", "gradient_clip", "ema_decay")
WATCHED = ("log_every", "checkpoint_every", "accumulate")
COST = ("steps", "rounds")

Values = dict[Any, float]  # A distortion by seed.


@dataclass(frozen=True)
class ElasticArm:
    """Trainings of one elastic tokenizer that differ in seeds only, in the order of the suite.

    `records` are its curves over fixed budgets and its allocations, with results or without.
    """

    label: str
    records: tuple[Record, ...]

    @cached_property
    def done(self) -> list[Record]:
        """Those with a result."""
        return [record for record in self.records if record.done]

    @property
    def cost(self) -> Cost:
        """Of one training; raises `IndexError` where none has a result."""
        return cost_of(self.done[0])

    @property
    def policies(self) -> list[Group]:
        """Its policies that have a result."""
        return group_by_seed([record for record in self.done if is_policy(record)])

    @property
    def budgets(self) -> dict[int, bool]:
        """Budgets of its curves, and whether its trainings draw them."""
        rows = [row for record in self.done for row in record.curve]
        return {row.budget: row.trained for row in sorted(rows, key=lambda row: row.budget)}

    def at(self, budget: int, seed_of: Callable[[Record], Any]) -> Values:
        """Distortion of its first `budget` tokens."""
        rows = [(seed_of(one), row) for one in self.done for row in one.curve]
        return averaged((s, row.value(METRIC)) for s, row in rows if row.budget == budget)


@dataclass(frozen=True)
class FixedArm:
    """Trainings of tokenizers of one length that differ in lengths and seeds only.

    `done` are those with a result by their seed, `first` is any of them all.
    """

    first: Record
    done: dict[Any, list[Record]]


def length_of(record: Record) -> int:
    """The length of a tokenizer of one length, which is known once it has a result."""
    return int(record.setting(BUDGETS)[0])


def averaged(values: Iterable[tuple[Any, float | None]]) -> Values:
    """Means by seed; what is not known is left out."""
    found: dict[Any, list[float]] = {}
    for seed, value in values:
        if value is not None:
            found.setdefault(seed, []).append(value)
    return {seed: fmean(each) for seed, each in found.items()}


def seeds_of(records: Sequence[Record]) -> Callable[[Record], Any]:
    """The seed that pairs two trainings: the training's, beside the data's where that varies."""
    several = len({record.setting("data.seed") for record in records}) > 1

    def seed(record: Record) -> Any:
        training = record.setting("training.seed")
        return f"{record.setting('data.seed')}/{training}" if several else training

    return seed


def is_elastic_tokenizer(record: Record) -> bool:
    """A reconstruction by our own tokenizer of several budgets, by an allocation or at each."""
    trained = record.config.trained_here
    return is_reconstruction(record) and trained is not None and len(trained.budgets) > 1


def is_one_length(record: Record) -> bool:
    """A reconstruction by our own tokenizer that was trained for a single length."""
    trained = record.config.trained_here
    one = trained is not None and len(trained.budgets) == 1
    return one and is_reconstruction(record) and not is_allocation(record)


def elastic_arms(records: Iterable[Record]) -> list[ElasticArm]:
    """The elastic tokenizers of these records."""
    found: dict[str, list[Record]] = {}
    for record in filter(is_elastic_tokenizer, records):
        found.setdefault(canonical_json(recipe(record)), []).append(record)
    return [ElasticArm(_elastic_label(members), tuple(members)) for members in found.values()]


def fixed_arms(records: Iterable[Record], seed_of: Callable[[Record], Any]) -> list[FixedArm]:
    """The tokenizers of one length of these records."""
    found: dict[str, list[Record]] = {}
    for record in filter(is_one_length, records):
        settings = {p: v for p, v in recipe(record).items() if not p.startswith(BUDGETS)}
        found.setdefault(canonical_json(settings), []).append(record)
    arms = [FixedArm(members[0], {}) for members in found.values()]
    for arm, members in zip(arms, found.values(), strict=True):
        for record in filter(lambda one: one.done, members):
            arm.done.setdefault(seed_of(record), []).append(record)
    return arms


def recipe(record: Record) -> dict[str, Any]:
    """Settings by path, seeds left out, that trainings of one tokenizer share."""
    parts = {name: record.setting(name) for name in ("data", *PARTS)}
    parts["policy"] = choosing_policy(record)
    return {path: value for path, value in flatten(parts) if not is_seed(path)}


def choosing_policy(record: Record) -> Any:
    """The settings of the cell's own policy where the tokenizer is trained at its choices."""
    own = record.setting("codesign") is not None and record.setting("codesign.policy") is None
    chosen = record.setting("codesign.training.lengths.distribution") == "policy"
    return record.setting("policy") if own and chosen else None


def data_of(record: Record) -> str:
    """Settings of the image set, its seed left out."""
    return canonical_json({p: v for p, v in flatten(record.setting("data")) if not is_seed(p)})


def differences_in_recipe(one: Record, other: Record) -> int:
    """In how many settings two tokenizers differ beside lengths, cost and tuning."""
    ours, theirs = recipe(one), recipe(other)
    alike = (*TUNED, *WATCHED, *COST)
    return sum(
        ours.get(path) != theirs.get(path)
        for path in ours.keys() | theirs.keys()
        if path != BUDGETS and ".lengths." not in path and path.rsplit(".", 1)[-1] not in alike
    )


def series_of(record: Record) -> str:
    """Settings that trainings of one tokenizer share that differ in what they cost alone.

    A plain continuation, which trains on as before, is a longer training.
    """
    settings = recipe(record)
    ends = ("warmup_steps", *WATCHED, *COST)
    kept = {path: v for path, v in settings.items() if path.rsplit(".", 1)[-1] not in ends}
    first, again = (
        {path.removeprefix(f"{key}."): v for path, v in kept.items() if path.startswith(f"{key}.")
         and path.rsplit(".", 1)[-1] not in TUNED}
        for key in ("training", "codesign.training")
    )  # fmt: skip
    if first == again or not again:
        kept = {path: v for path, v in kept.items() if not path.startswith("codesign")}
    return canonical_json(kept)


def _elastic_label(members: Sequence[Record]) -> str:
    """As the tokenizer's own cells are called, else its first arm and what that sweeps of it."""
    own = [record.group for record in members if not is_allocation(record)]
    if own:
        return own[0]
    first = members[0]
    under = tuple(f"{name}." for name in ("data", *PARTS))
    return arm_and_sweep(first.arm, first.swept, under=under)


def fixed_label(record: Record) -> str:
    """The arm, and what it sweeps beside lengths and seeds."""
    others = {path: value for path, value in record.swept.items() if path != BUDGETS}
    return arm_and_sweep(record.arm, others)
