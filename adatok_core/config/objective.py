"""Configurations of the objectives that a policy is trained to maximise."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal, Protocol

from adatok_core.choices import Choice, OneOf
from adatok_core.config.checks import Strict, require
from adatok_core.registry import Registry


@dataclass(frozen=True, kw_only=True)
class Annealed(Strict):
    """A coefficient that moves geometrically from `start` to `end` over training."""

    start: float
    end: float

    def __post_init__(self) -> None:
        require(self.start >= 0 and self.end >= 0, "start, end: must not be negative")
        require(
            (self.start == 0) == (self.end == 0),
            "start, end: a geometric schedule has both zero or neither",
        )

    def at(self, progress: float) -> float:
        """The value at `progress` in `[0, 1]`."""
        return self.start and self.start * (self.end / self.start) ** progress


OFF = Annealed(start=0.0, end=0.0)


@dataclass(frozen=True, kw_only=True)
class KL(Strict):
    """Penalty on leaving a reference policy, in k3 form (`q - ln q - 1`, `q = pi_ref / pi`).

    The reference is the `uniform` policy, or a `snapshot` of the policy itself, taken before the
    first step and again after every `refresh_every` steps.
    """

    coefficient: Annealed = OFF
    reference: Literal["uniform", "snapshot"] = "uniform"
    refresh_every: int = 100

    def __post_init__(self) -> None:
        require(self.refresh_every >= 1, "refresh_every: must be 1 or more")


def _check_clip(clip: float, updates_per_batch: int) -> None:
    require(0 < clip < 1, "clip: must lie in (0, 1)")
    require(updates_per_batch >= 1, "updates_per_batch: must be 1 or more")


def _default_entropy() -> Annealed:
    return Annealed(start=0.3, end=0.005)


@dataclass(frozen=True, kw_only=True)
class DeterministicGroup(Strict):
    """Deterministic-group GRPO: every candidate budget of an image once, nothing sampled.

    `group_baseline` is the mean of the group's rewards: over the budgets alike (`uniform`) or
    weighted by the policy, in which case the objective is the exact expected reward. The ratio is
    clipped to `1 +- clip`; it can leave 1 only with `updates_per_batch` above 1.
    """

    kind: Literal["deterministic_group"] = "deterministic_group"
    group_baseline: Literal["uniform", "policy"] = "policy"
    normalise_advantage: bool = False
    clip: float = 0.2
    updates_per_batch: int = 1
    kl: KL = field(default_factory=KL)
    entropy: Annealed = field(default_factory=_default_entropy)

    def __post_init__(self) -> None:
        _check_clip(self.clip, self.updates_per_batch)


@dataclass(frozen=True, kw_only=True)
class SampledGroup(Strict):
    """GRPO as published (Shao et al. 2024): `draws` budgets per image from the policy itself."""

    kind: Literal["sampled_group"] = "sampled_group"
    draws: int = 8
    normalise_advantage: bool = True
    clip: float = 0.2
    updates_per_batch: int = 1
    kl: KL = field(default_factory=KL)
    entropy: Annealed = field(default_factory=_default_entropy)

    def __post_init__(self) -> None:
        require(self.draws >= 2, "draws: a group needs 2 or more")
        _check_clip(self.clip, self.updates_per_batch)


@dataclass(frozen=True, kw_only=True)
class Reinforce(Strict):
    """REINFORCE (Williams 1992): one draw per image, minus a running mean of the rewards."""

    kind: Literal["reinforce"] = "reinforce"
    baseline_decay: float = 0.9
    kl: KL = field(default_factory=KL)
    entropy: Annealed = field(default_factory=_default_entropy)

    def __post_init__(self) -> None:
        require(0 <= self.baseline_decay < 1, "baseline_decay: must lie in [0, 1)")


@dataclass(frozen=True, kw_only=True)
class PPO(Strict):
    """PPO-clip (Schulman et al. 2017): one draw per image, minus a learned value of the image.

    The critic has the policy's shape and its own weights; `value_weight` weighs its squared error.
    """

    kind: Literal["ppo"] = "ppo"
    clip: float = 0.2
    updates_per_batch: int = 4
    value_weight: float = 0.5
    kl: KL = field(default_factory=KL)
    entropy: Annealed = field(default_factory=_default_entropy)

    def __post_init__(self) -> None:
        _check_clip(self.clip, self.updates_per_batch)
        require(self.value_weight > 0, "value_weight: must be positive")


@dataclass(frozen=True, kw_only=True)
class Supervised(Strict):
    """The control that learns no policy: predict each image's fidelities, then choose by slope.

    A squared-error regression; the budget chosen is the best under the weighting's weights. With
    `centred`, only differences between an image's budgets count, on which alone the choice depends.
    """

    kind: Literal["supervised"] = "supervised"
    centred: bool = False


class ObjectiveSettings(Protocol):
    """A frozen dataclass with the settings of an objective.

    With a policy gradient it has `kl` and `entropy` too, and `updates_per_batch` unless that is 1.
    """

    @property
    def kind(self) -> str:
        """The name that the objective is registered under."""


@dataclass(frozen=True, kw_only=True)
class ObjectiveChoice(Choice):
    """`build(config)` gives an `adatok_core.objectives.PolicyGradient`, or a `Predictor`.

    `predicts`: it predicts fidelities, and has no policy gradient.
    """

    predicts: bool = False


OBJECTIVES: Registry[ObjectiveChoice] = Registry(
    "objective", group="adatok_bench.objectives", expects=ObjectiveChoice
)
OBJECTIVES.add(
    "deterministic_group",
    ObjectiveChoice(
        config=DeterministicGroup, build="adatok_core.objectives.groups:DeterministicGroup"
    ),
)
OBJECTIVES.add(
    "sampled_group",
    ObjectiveChoice(config=SampledGroup, build="adatok_core.objectives.groups:SampledGroup"),
)
OBJECTIVES.add(
    "reinforce",
    ObjectiveChoice(config=Reinforce, build="adatok_core.objectives.single_draw:Reinforce"),
)
OBJECTIVES.add("ppo", ObjectiveChoice(config=PPO, build="adatok_core.objectives.single_draw:PPO"))
OBJECTIVES.add(
    "supervised",
    ObjectiveChoice(
        config=Supervised, build="adatok_core.objectives.supervised:Supervised", predicts=True
    ),
)

ObjectiveConfig = Annotated[ObjectiveSettings, OneOf(OBJECTIVES)]
