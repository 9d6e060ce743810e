"""The budgets that an objective looks at: drawn from the policy, or all of them."""

from __future__ import annotations

import torch
from torch import Tensor

from adatok_core.config import PPO, DeterministicGroup, ObjectiveConfig, Reinforce, SampledGroup


def draw_actions(
    config: ObjectiveConfig, old_log_policy: Tensor, generator: torch.Generator
) -> Tensor | None:
    """Indices `[b, draws]` drawn with replacement from `old_log_policy [b, M]`.

    One draw for REINFORCE and PPO; `None`, with the generator untouched, for the deterministic
    group. Raises `ValueError` for an objective without a policy gradient.
    """
    match config:
        case DeterministicGroup():
            return None
        case SampledGroup():
            draws = config.draws
        case Reinforce() | PPO():
            draws = 1
        case _:
            raise ValueError(f"{config.kind}: the objective has no policy gradient")
    chances = old_log_policy.detach().exp()
    return torch.multinomial(chances, draws, replacement=True, generator=generator)


def reward_of(actions: Tensor, rewards: Tensor) -> Tensor:
    """Rewards `[b, G]` of `actions [b, G]` from `rewards [b, M]`."""
    return rewards.gather(-1, actions)
