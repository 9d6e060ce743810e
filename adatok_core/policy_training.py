"""Training of the budget policy from a table of distortions: no image is decoded."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from adatok_core.config import PolicyConfig
from adatok_core.group_objective import entropy, group_objective
from adatok_core.policy import BudgetPolicy
from adatok_core.rewards import RewardTable
from adatok_core.training import DivergedError, batch_indices
from adatok_core.weighting import build_weighting


@dataclass(frozen=True)
class TrainedPolicy:
    """The policy and its trajectory: one row per logged step."""

    policy: BudgetPolicy
    history: list[dict[str, float]]


def build_policy(config: PolicyConfig, *, latents: int, width: int) -> BudgetPolicy:
    """An untrained policy whose initial weights depend on `config.seed` alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        return BudgetPolicy(
            latents=latents,
            width=width,
            candidates=len(config.candidates),
            pooling_queries=config.pooling_queries,
            hidden=config.hidden,
        )


def train_policy(
    config: PolicyConfig, *, latents: Tensor, distortion: Tensor, max_tokens: int
) -> TrainedPolicy:
    """Train on `latents [n, N, D]` and `distortion [n, M]` at the candidate budgets.

    Adam with a linear decay to zero. Raises `DivergedError` when the objective is not finite, and
    `ValueError` when the distortion does not fall over the candidates.
    """
    count, tokens, width = latents.shape
    rewards = RewardTable.of(distortion, config.candidates, max_tokens=max_tokens)
    weighting = build_weighting(config.weighting, config.candidates)
    policy = build_policy(config, latents=tokens, width=width)
    optimizer = torch.optim.AdamW(policy.parameters(), weight_decay=0.01, fused=True)
    budgets = torch.tensor(config.candidates, dtype=torch.float32)
    batch_size = min(config.batch, count)
    history = []
    for step in range(config.steps):
        progress = step / max(1, config.steps - 1)
        for group in optimizer.param_groups:
            group["lr"] = config.learning_rate * (1 - step / config.steps)
        images = batch_indices(step, count=count, batch=batch_size, seed=config.seed)
        batch = latents[images].float()
        weights = weighting.weights
        scalar = rewards.scalar(images, weights)
        old_log_policy = None
        for _ in range(config.objective.updates_per_batch):
            log_policy = policy(batch).log_softmax(-1)
            old_log_policy = log_policy.detach() if old_log_policy is None else old_log_policy
            gain = group_objective(
                log_policy, old_log_policy, scalar, config=config.objective, progress=progress
            )
            if not torch.isfinite(gain):
                raise DivergedError(f"the policy's objective is not finite at step {step + 1}")
            optimizer.zero_grad(set_to_none=True)
            (-gain).backward()
            optimizer.step()
        chances = old_log_policy.exp()
        weighting.update(chances, rewards.fidelity[images])
        if (step + 1) % config.log_every == 0 or step + 1 == config.steps:
            shares = torch.bincount(chances.argmax(-1), minlength=len(budgets)) / batch_size
            uncertainty = entropy(old_log_policy).mean().item()
            history.append(
                {
                    "step": step + 1,
                    "objective": gain.item(),
                    "mean_budget": (chances @ budgets).mean().item(),
                    "entropy": uncertainty,
                    "kl_to_uniform": math.log(len(budgets)) - uncertainty,
                    "weight_fidelity": weights[0].item(),
                    "weight_efficiency": weights[1].item(),
                    **{
                        f"share_{budget}": share.item()
                        for budget, share in zip(config.candidates, shares, strict=True)
                    },
                }
            )
    return TrainedPolicy(policy.eval(), history)
