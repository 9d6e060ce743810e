"""Further trainings of a cell's tokenizer: at the lengths that policies choose, or as before."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from adatok_core.config import PolicyConfig, TrainingConfig
from adatok_core.config.checks import Strict, require

if TYPE_CHECKING:
    from bench.config.cell import CellConfig

# Rounds draw apart: a step's draws are of its seed and number alone.
SEEDS_APART = 1000


@dataclass(frozen=True, kw_only=True)
class CoDesign(Strict):
    """Rounds in which all of the tokenizer is trained again, after its first training.

    With `training.lengths.distribution: policy` (EVATok, arXiv 2603.12267), a round makes a bank of
    the tokenizer that it finds, trains a policy on it, and then trains with images at the lengths
    that this policy chooses for them; with `weights: policy` these weigh the budgets. `policy` is
    the one whose choices these are; the cell's own, when null. Other lengths need no policy: they
    are a plain continuation, which a tokenizer of one length can have too.

    `start`: `warm`, from the weights of the round before, or from `scratch`. Round `r` draws with
    the seed `training.seed` of the cell, plus 1000 `r`, plus that of this `training`.
    """

    rounds: int = 1
    start: Literal["warm", "scratch"] = "warm"
    training: TrainingConfig
    policy: PolicyConfig | None = None

    def __post_init__(self) -> None:
        require(self.rounds >= 1, "rounds: must be 1 or more")

    @property
    def chooses(self) -> bool:
        """Whether a policy chooses lengths in each round."""
        return self.training.lengths.needs_chosen

    def training_of(self, number: int, *, seed: int) -> TrainingConfig:
        """The training of round `number`, from 1 on, of a cell whose first one has this seed."""
        return replace(self.training, seed=seed + SEEDS_APART * number + self.training.seed)


def codesign_problem(cell: CellConfig) -> str | None:
    """The first thing of a cell's rounds, and of a policy's lengths elsewhere, that cannot be."""
    trained, asked = cell.trained_here, cell.codesign
    if trained is None:
        return None
    for key, training in cell.trainings.items():
        lengths = training.lengths
        if key != "codesign.training" and lengths.needs_chosen:
            name = "distribution" if lengths.distribution == "policy" else "weights"
            return (
                f"{key}.lengths.{name}: policy: no policy has chosen lengths for it; only "
                "codesign.training can have this, so choose another here"
            )
    if asked is None:
        return None
    if not asked.chooses:
        if asked.start == "scratch":
            return (
                "codesign.start: scratch, at lengths that no policy chooses, is another first "
                "training; set it to warm"
            )
        if asked.policy is not None:
            return (
                "codesign.policy: would choose nothing; set codesign.training.lengths.distribution "
                "or weights to policy, or remove it"
            )
        return None
    policy = cell.codesign_policy
    if policy is None:
        return (
            "codesign.policy: missing, and the cell has no policy either, to choose lengths; give "
            "one of them"
        )
    outside = sorted(set(policy.candidates) - set(trained.budgets))
    if outside:
        key = "policy" if asked.policy is None else "codesign.policy"
        return (
            f"{key}.candidates: {outside} are not among the tokenizer's budgets "
            f"{list(trained.budgets)}, which codesign trains"
        )
    return None
