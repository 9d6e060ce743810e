"""Advantages: rewards over a baseline, constants to the gradient."""

from __future__ import annotations

from torch import Tensor

STD_EPSILON = 1e-6


def group_advantages(rewards: Tensor, shares: Tensor, *, normalise: bool) -> Tensor:
    """Rewards `[b, G]` minus their group's mean; `shares [b, G]` sum to 1 and weigh the group.

    With `normalise` divided by the group's population standard deviation plus 1e-6, under the
    same weights (Shao et al. 2024). Without it as in Dr. GRPO (Liu et al. 2025).
    """
    # Relative to one of them, equal rewards are exactly 0 and so are their advantages.
    relative = rewards - rewards[..., :1]
    centred = relative - (shares * relative).sum(-1, keepdim=True)
    if not normalise:
        return centred
    deviation = (shares * centred.square()).sum(-1, keepdim=True).sqrt()
    return centred / (deviation + STD_EPSILON)


def baseline_advantages(rewards: Tensor, baseline: Tensor) -> Tensor:
    """Rewards `[b, G]` minus `baseline`: one number `[]`, or one per image `[b]`."""
    return rewards - baseline.detach().reshape(-1, 1)
