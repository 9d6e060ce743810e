"""The scalar that a batch's policy gradient climbs.

The group of deterministic-group GRPO is all `M` candidate budgets of an image, each exactly once.
With the uniform baseline that is GRPO's clipped surrogate averaged over the group; weighted by
the policy it is the expected reward itself, whose gradient `pi_m (r_m - sum_j pi_j r_j)` vanishes
as the policy becomes certain. The uniform one's does not: there the k3 penalty, which grows as a
probability falls, is what stops the logits. The other objectives estimate the gradient of the
expected reward from budgets drawn from the policy.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from adatok_core.config import PPO, DeterministicGroup, ObjectiveConfig, Reinforce, Supervised
from adatok_core.objectives.actions import reward_of
from adatok_core.objectives.advantages import baseline_advantages, group_advantages
from adatok_core.objectives.penalties import entropy, k3


@dataclass(frozen=True)
class Batch:
    """What is fixed while the policy is updated on a batch of `b` images.

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


def policy_objective(
    log_policy: Tensor,
    batch: Batch,
    *,
    config: ObjectiveConfig,
    progress: float,
    advantage_scale: float = 1.0,
) -> Tensor:
    """The scalar to maximise for `log_policy [b, M]`: a mean over the images.

    `progress` in `[0, 1]` is the place in the annealing schedules. `advantage_scale` multiplies
    the advantages after their normalisation, which would cancel it before; entropy and KL keep
    their size. Raises `ValueError` for an objective without a policy gradient.
    """
    if isinstance(config, Supervised):
        raise ValueError(f"{config.kind}: the objective has no policy gradient")
    uncertainty = entropy(log_policy)
    rewards = batch.rewards
    old, reference = batch.old_log_policy.detach(), batch.reference_log_policy.detach()
    if not isinstance(config, DeterministicGroup):
        log_policy, old, reference = (
            table.gather(-1, batch.actions) for table in (log_policy, old, reference)
        )
        rewards = reward_of(batch.actions, rewards)

    if isinstance(config, DeterministicGroup) and config.group_baseline == "policy":
        shares = old.exp()
    else:
        shares = torch.full_like(rewards, 1 / rewards.shape[-1])
    if isinstance(config, Reinforce | PPO):
        advantages = baseline_advantages(rewards, batch.baseline)
    else:
        advantages = group_advantages(rewards, shares, normalise=config.normalise_advantage)
    advantages = advantage_scale * advantages

    if isinstance(config, Reinforce):
        surrogate = advantages * log_policy  # Williams 1992
    else:
        surrogate = clipped_surrogate(log_policy, old, advantages, clip=config.clip)
    gain = (shares * surrogate).sum(-1) + config.entropy.at(progress) * uncertainty
    penalty = config.kl.coefficient.at(progress)
    if penalty:  # k3 overflows for a policy that no penalty holds back, and 0 * inf is NaN.
        gain = gain - penalty * k3(log_policy, reference).mean(-1)
    return gain.mean()


def clipped_surrogate(
    log_policy: Tensor, old_log_policy: Tensor, advantages: Tensor, *, clip: float
) -> Tensor:
    """`min(ratio A, clip(ratio, 1 - clip, 1 + clip) A)`, all `[b, G]` (Schulman et al. 2017).

    The ratio is that of the policy to the old one.
    """
    ratio = (log_policy - old_log_policy).exp()
    clipped = ratio.clamp(1 - clip, 1 + clip)
    return torch.minimum(ratio * advantages, clipped * advantages)
