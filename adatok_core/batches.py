"""Which images a training step sees: pure functions of the seed and the step."""

from __future__ import annotations

import functools

import torch
from torch import Tensor


def step_generator(seed: int, step: int) -> torch.Generator:
    """The generator of all draws of one training step."""
    return torch.Generator().manual_seed(seed * 1_000_003 + step)


def batch_indices(step: int, *, count: int, batch: int, seed: int) -> Tensor:
    """Images `[batch]` of a step: consecutive slices of one permutation per epoch."""
    first = step * batch
    parts = []
    for epoch in range(first // count, (first + batch - 1) // count + 1):
        order = _order(count, seed=seed, epoch=epoch)
        parts.append(order[max(first - epoch * count, 0) : first + batch - epoch * count])
    return torch.cat(parts)


@functools.lru_cache(maxsize=2)  # A large set is not to be permuted again in every step.
def _order(count: int, *, seed: int, epoch: int) -> Tensor:
    # Odd numbers apart from the steps' seeds, which are used with the same multiplier.
    generator = torch.Generator().manual_seed((seed * 1_000_003 + epoch) * 2 + 2**40 + 1)
    return torch.randperm(count, generator=generator)
