"""Group objectives: the rewards of a group of budgets against the group's own mean."""

from __future__ import annotations

import torch
from torch import Tensor

from adatok_core import config
from adatok_core.objectives.advantages import group_advantages
from adatok_core.objectives.objective import PolicyGradient, clipped_surrogate


class _Group(PolicyGradient):
    """The clipped ratio times the advantage over the group's mean."""

    settings: config.DeterministicGroup | config.SampledGroup

    def advantages(self, rewards: Tensor, shares: Tensor, baseline: Tensor | None) -> Tensor:
        """Rewards `[b, G]` minus the group's mean under `shares [b, G]`."""
        return group_advantages(rewards, shares, normalise=self.settings.normalise_advantage)

    def surrogate(self, log_policy: Tensor, old: Tensor, advantages: Tensor) -> Tensor:
        """The clipped surrogate `[b, G]`."""
        return clipped_surrogate(log_policy, old, advantages, clip=self.settings.clip)


class DeterministicGroup(_Group):
    """All `M` candidate budgets of an image, each exactly once.

    With the uniform baseline that is GRPO's clipped surrogate averaged over the group; weighted by
    the policy it is the expected reward itself, whose gradient `pi_m (r_m - sum_j pi_j r_j)`
    vanishes as the policy becomes certain. The uniform one's does not: there the k3 penalty, which
    grows as a probability falls, is what stops the logits.
    """

    settings: config.DeterministicGroup

    def draw(self, old_log_policy: Tensor, generator: torch.Generator) -> None:
        """Nothing, with the generator untouched."""

    def shares(self, old_log_policy: Tensor) -> Tensor:
        """The policy's own chances, or equal ones, `[b, M]`."""
        if self.settings.group_baseline == "policy":
            return old_log_policy.exp()
        return super().shares(old_log_policy)


class SampledGroup(_Group):
    """GRPO as published (Shao et al. 2024): several draws per image from the policy itself."""

    settings: config.SampledGroup

    @property
    def draws(self) -> int:
        """Draws per image."""
        return self.settings.draws
