"""The objective of deterministic-group GRPO.

The group of an image is all its `M` candidate budgets, each exactly once. With the uniform
baseline this is GRPO's clipped surrogate (Shao et al. 2024) averaged over the group; weighted by
the policy it is the expected reward itself, whose gradient `pi_m (r_m - sum_j pi_j r_j)` vanishes
as the policy becomes certain. The uniform one's does not: there the k3 penalty, which grows as a
probability falls, is what stops the logits.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from adatok_core.config import Objective


def group_advantages(rewards: Tensor, log_policy: Tensor, config: Objective) -> Tensor:
    """Advantages `[B, M]` of `rewards [B, M]` over the group's baseline.

    With `normalise_advantage` they are divided by the group's population standard deviation.
    """
    if config.group_baseline == "uniform":
        shares = torch.full_like(rewards, 1 / rewards.shape[-1])
    else:
        shares = log_policy.detach().exp()
    centred = rewards - (shares * rewards).sum(-1, keepdim=True)
    if not config.normalise_advantage:
        return centred
    deviation = (shares * centred.square()).sum(-1, keepdim=True).sqrt()
    return centred / (deviation + 1e-6)


def entropy(log_policy: Tensor) -> Tensor:
    """Entropy `[B]` in nats of `log_policy [B, M]`."""
    return -(log_policy.exp() * log_policy).sum(-1)


def k3_to_uniform(log_policy: Tensor) -> Tensor:
    """`q - ln q - 1` with `q = uniform / pi`, averaged over the group: `[B]`, never negative."""
    log_ratio = -math.log(log_policy.shape[-1]) - log_policy
    return (log_ratio.exp() - log_ratio - 1).mean(-1)


def group_objective(
    log_policy: Tensor,
    old_log_policy: Tensor,
    rewards: Tensor,
    *,
    config: Objective,
    progress: float,
) -> Tensor:
    """The scalar to maximise for a batch of log-probabilities `[B, M]` and rewards `[B, M]`.

    `old_log_policy` is the policy before the updates on this batch, `progress` in `[0, 1]` the
    place in the annealing schedules.
    """
    old = old_log_policy.detach()
    advantages = group_advantages(rewards, old, config)
    ratio = (log_policy - old).exp()
    clipped = ratio.clamp(1 - config.clip, 1 + config.clip)
    surrogate = torch.minimum(ratio * advantages, clipped * advantages)
    if config.group_baseline == "uniform":
        gain = surrogate.mean(-1)
    else:
        gain = (old.exp() * surrogate).sum(-1)
    gain = gain + config.entropy.at(progress) * entropy(log_policy)
    penalty = config.kl_to_uniform.at(progress)
    if penalty:  # k3 overflows for a policy that no penalty holds back, and 0 * inf is NaN.
        gain = gain - penalty * k3_to_uniform(log_policy)
    return gain.mean()
