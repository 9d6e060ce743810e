"""A learned policy, or supervised predictor, as an allocator."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from adatok_core.config import PolicyConfig
from adatok_core.policy import BudgetPolicy
from adatok_core.quantizers import Quantizer
from bench.allocators.base import Allocation, Seen, encoder_passes
from bench.allocators.policy_features import INPUTS, PolicyFeatures, features_of

BATCH = 512


@dataclass(frozen=True, kw_only=True)
class LearnedPolicy:
    """The arg-max of a trained policy, from the input that its configuration names.

    `quantizer` knows the codes (input `quantized`); `patch_size` is the tokenizer's, in px.
    """

    policy: BudgetPolicy
    config: PolicyConfig
    quantizer: Quantizer | None
    patch_size: int
    name: str = "policy"

    @property
    def candidates(self) -> tuple[int, ...]:
        """Budgets of the bank to choose from."""
        return self.config.candidates

    @property
    def sees(self) -> frozenset[str]:
        """The one part that its input is read from."""
        return frozenset({INPUTS[self.config.input]})

    def features(self, seen: Seen) -> PolicyFeatures:
        """Features that the policy looks at."""
        return features_of(self.config, seen, quantizer=self.quantizer, patch_size=self.patch_size)

    @torch.inference_mode()
    def allocate(self, seen: Seen) -> Allocation:
        """With the mean entropy of the policy, in nats."""
        load = self.features(seen).load
        rows = torch.arange(seen.count)
        logits = torch.cat([self.policy(load(part)) for part in rows.split(BATCH)])
        log_policy = logits.log_softmax(-1)
        entropy = float(-(log_policy.exp() * log_policy).sum(-1).mean())
        return Allocation(
            log_policy.argmax(-1).numpy(),
            encoder_passes(self.sees, nested=seen.nested),
            about={"policy_entropy": entropy},
        )
