"""What a policy is trained to maximise: group, sampled, REINFORCE and PPO objectives."""

from adatok_core.objectives.actions import draw_actions, reward_of
from adatok_core.objectives.objective import Batch, policy_objective
from adatok_core.objectives.penalties import entropy, k3, uniform_log_policy

__all__ = [
    "Batch",
    "draw_actions",
    "entropy",
    "k3",
    "policy_objective",
    "reward_of",
    "uniform_log_policy",
]
