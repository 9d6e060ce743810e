"""A learned policy, or supervised predictor, as an allocator."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from adatok_core.config import PolicyConfig
from adatok_core.policy import BudgetPolicy
from adatok_core.quantizers import Quantizer
from bench.allocators.base import Allocation, Seen, encoder_passes
from bench.allocators.policy_features import INPUTS, PolicyFeatures, features_of
from bench.artifacts.networks import load_elastic, load_policy

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

    @staticmethod
    def load(policy: Path, *, tokenizer: Path, patch_size: int) -> LearnedPolicy:
        """The policy of an artifact; `tokenizer` is that of the tokenizer it was trained on."""
        network, config = load_policy(policy)
        quantized = config.input == "quantized"
        return LearnedPolicy(
            policy=network,
            config=config,
            quantizer=load_elastic(tokenizer).quantizer if quantized else None,
            patch_size=patch_size,
        )

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
        return features_of(
            self.config,
            seen,
            quantizer=self.quantizer,
            patch_size=self.patch_size,
            length=self.policy.length,
        )

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
