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
        order = _order(seed, epoch, count)
        parts.append(order[max(first - epoch * count, 0) : first + batch - epoch * count])
    return torch.cat(parts).long()


def batch_epochs(step: int, *, count: int, batch: int) -> Tensor:
    """The epoch `[batch]` in which a step sees each of its `batch_indices`."""
    return torch.arange(step * batch, (step + 1) * batch) // count


# Drawn anew in each step, 1.28 million images took 84 ms. A step that reaches into the next epoch
# asks for that last, so one is enough.
@functools.lru_cache(maxsize=1)
def _order(seed: int, epoch: int, count: int) -> Tensor:
    """The permutation of an epoch, in half the bytes where the numbers fit."""
    # Odd numbers apart from the steps' seeds, which are used with the same multiplier.
    generator = torch.Generator().manual_seed((seed * 1_000_003 + epoch) * 2 + 2**40 + 1)
    order = torch.randperm(count, generator=generator)
    return order.to(torch.int32) if count < 2**31 else order
