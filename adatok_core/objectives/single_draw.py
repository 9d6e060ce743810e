"""Objectives of one draw per image, whose rewards need a baseline from elsewhere."""

from __future__ import annotations

from torch import Tensor

from adatok_core import config
from adatok_core.objectives.advantages import baseline_advantages
from adatok_core.objectives.objective import PolicyGradient, clipped_surrogate


class _SingleDraw(PolicyGradient):
    """Rewards minus the trainer's baseline."""

    def advantages(self, rewards: Tensor, shares: Tensor, baseline: Tensor | None) -> Tensor:
        """Rewards `[b, 1]` minus the `baseline`."""
        if baseline is None:
            raise ValueError(f"{self.settings.kind}: the batch has no baseline")
        return baseline_advantages(rewards, baseline)


class Reinforce(_SingleDraw):
    """REINFORCE (Williams 1992) with a running mean of the rewards."""

    settings: config.Reinforce
    baseline = "running_mean"

    def surrogate(self, log_policy: Tensor, old: Tensor, advantages: Tensor) -> Tensor:
        """The log-probability times the advantage, `[b, 1]`."""
        return advantages * log_policy


class PPO(_SingleDraw):
    """PPO-clip (Schulman et al. 2017) with a critic's values."""

    settings: config.PPO
    baseline = "critic"

    def surrogate(self, log_policy: Tensor, old: Tensor, advantages: Tensor) -> Tensor:
        """The clipped surrogate `[b, 1]`."""
        return clipped_surrogate(log_policy, old, advantages, clip=self.settings.clip)
