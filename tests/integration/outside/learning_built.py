"""What `learning` declares."""

import torch

from adatok_core.objectives import PolicyGradient
from adatok_core.weighting import Weighting


class ExpectedReward(PolicyGradient):
    def draw(self, old_log_policy, generator):
        return None

    def shares(self, old_log_policy):
        return old_log_policy.exp()

    def advantages(self, rewards, shares, baseline):
        return rewards

    def surrogate(self, log_policy, old, advantages):
        return (log_policy - old).exp() * advantages


class RampWeighting(Weighting):
    def __init__(self, config, candidates):
        self.config, self.step = config, 0

    @property
    def weights(self):
        efficiency = self.config.efficiency * min(1.0, self.step / self.config.steps)
        return torch.tensor([1 - efficiency, efficiency])

    def update(self, view):
        self.step = view.step

    def state(self):
        return {"step": torch.tensor(float(self.step), dtype=torch.float64)}

    def load_state(self, tensors):
        self.step = int(tensors["step"])
