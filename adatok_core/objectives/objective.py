"""Interfaces of an objective: a policy gradient from rewards, or a prediction of fidelities."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from adatok_core.objectives.penalties import entropy, k3


@dataclass(frozen=True)
class Batch:
    """Constants of the updates on one batch of `b` images.

    `rewards [b, M]` under the current weights; `old_log_policy [b, M]` before the first update;
    `reference_log_policy [b, M]` of the KL penalty; `actions [b, G]` drawn from the old policy,
    `None` for the deterministic group; `baseline`, a running mean `[]` for REINFORCE, the
    critic's values `[b]` for PPO, else `None`. No gradient flows into any of them.
    """

    rewards: Tensor
    old_log_policy: Tensor
    reference_log_policy: Tensor
    actions: Tensor | None = None
    baseline: Tensor | None = None


class PolicyGradient(ABC):
    """The scalar that a batch's policy gradient climbs, over `G` budgets of each image.

    They are `draws` from the policy itself, unless `draw` gives none: then they are all `M`
    candidates. `baseline` is what the trainer has to bring along: a `running_mean` of the rewards,
    which needs the setting `baseline_decay`; a `critic` of the images, which needs `value_weight`.
    """

    baseline: ClassVar[Literal["running_mean", "critic"] | None] = None
    draws: int = 1

    def __init__(self, settings: Any):
        self.settings = settings

    @abstractmethod
    def advantages(self, rewards: Tensor, shares: Tensor, baseline: Tensor | None) -> Tensor:
        """Advantages `[b, G]` of `rewards [b, G]`, which count in `shares [b, G]` that sum to 1."""

    @abstractmethod
    def surrogate(self, log_policy: Tensor, old: Tensor, advantages: Tensor) -> Tensor:
        """The scalar of each budget `[b, G]`, of log-probabilities `[b, G]` now and before."""

    def draw(self, old_log_policy: Tensor, generator: torch.Generator) -> Tensor | None:
        """Draw indices `[b, draws]` with replacement from `old_log_policy [b, M]`.

        None where all candidates are looked at; the generator is untouched then.
        """
        chances = old_log_policy.detach().exp()
        return torch.multinomial(chances, self.draws, replacement=True, generator=generator)

    def shares(self, old_log_policy: Tensor) -> Tensor:
        """Weights of an image's budgets, like `old_log_policy [b, G]`; they sum to 1."""
        return torch.full_like(old_log_policy, 1 / old_log_policy.shape[-1])

    def goal(
        self,
        log_policy: Tensor,
        batch: Batch,
        *,
        progress: float,
        advantage_scale: float = 1.0,
        penalised: bool = True,
    ) -> Tensor:
        """The scalar to maximise for `log_policy [b, M]`: a mean over the images.

        `progress` in `[0, 1]` is the place in the annealing schedules. `advantage_scale` multiplies
        the advantages after their normalisation, which would cancel it before; entropy and KL keep
        their size. Unless `penalised`, both are left out.
        """
        uncertainty = entropy(log_policy)
        rewards = batch.rewards
        old, reference = batch.old_log_policy.detach(), batch.reference_log_policy.detach()
        if batch.actions is not None:
            log_policy, old, reference, rewards = (
                table.gather(-1, batch.actions) for table in (log_policy, old, reference, rewards)
            )
        shares = self.shares(old)
        advantages = advantage_scale * self.advantages(rewards, shares, batch.baseline)
        gain = (shares * self.surrogate(log_policy, old, advantages)).sum(-1)
        if not penalised:
            return gain.mean()
        gain = gain + self.settings.entropy.at(progress) * uncertainty
        penalty = self.settings.kl.coefficient.at(progress)
        if penalty:  # k3 overflows for a policy that no penalty holds back, and 0 * inf is NaN.
            gain = gain - penalty * k3(log_policy, reference).mean(-1)
        return gain.mean()


class Predictor(ABC):
    """No policy gradient: a network that predicts fidelities, from which the choice follows."""

    @abstractmethod
    def loss(self, predicted: Tensor, fidelity: Tensor) -> Tensor:
        """The scalar to minimise, of `predicted [b, M]` for `fidelity [b, M]`."""


def clipped_surrogate(
    log_policy: Tensor, old_log_policy: Tensor, advantages: Tensor, *, clip: float
) -> Tensor:
    """`min(ratio A, clip(ratio, 1 - clip, 1 + clip) A)`, all `[b, G]` (Schulman et al. 2017).

    The ratio is that of the policy to the old one.
    """
    ratio = (log_policy - old_log_policy).exp()
    clipped = ratio.clamp(1 - clip, 1 + clip)
    return torch.minimum(ratio * advantages, clipped * advantages)
