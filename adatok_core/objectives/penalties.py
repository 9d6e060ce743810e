"""Entropy of a policy and its divergence from a reference."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def entropy(log_policy: Tensor) -> Tensor:
    """Entropy `[b]` in nats of `log_policy [b, M]`."""
    return -(log_policy.exp() * log_policy).sum(-1)


def k3(log_policy: Tensor, reference_log_policy: Tensor) -> Tensor:
    """`q - ln q - 1` with `q = pi_ref / pi`, elementwise `[b, M]`, never negative.

    Its mean over budgets drawn from `pi` is KL(pi || pi_ref) (Schulman 2020, "Approximating KL
    divergence").
    """
    log_ratio = reference_log_policy - log_policy
    return torch.expm1(log_ratio) - log_ratio


def uniform_log_policy(like: Tensor) -> Tensor:
    """Log-probabilities of the uniform policy, in the shape `[b, M]` and dtype of `like`."""
    return torch.full_like(like, -math.log(like.shape[-1]))
