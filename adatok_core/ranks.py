"""Training on several processes (ranks) that share every batch.

All ranks make all draws of a step, each computes its part of the batch, and what the batch has in
common (gradients, statistics of codes, losses) is the mean or the sum over ranks. So the number of
ranks changes nothing but the order of floating-point sums. Gradients are summed by hand, once a
step: `DistributedDataParallel` would want one forward pass of one module for each backward pass,
where a step here has micro-batches, an adversary, and parameters that only some ranks use.

The process group is torch's default one. Outside of a step (`Ranks.stepping`) all that is said here
of several ranks is said of one: a rank may encode or evaluate by itself, and waits for nobody.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

# Numbers that are summed over ranks in one message: 100 MB of copies at a time, in float32.
BUCKET = 25_000_000

_stepping = False


@dataclass(frozen=True)
class Ranks:
    """This process among `count` that train together: the one with the number `rank`, from 0."""

    rank: int = 0
    count: int = 1

    @staticmethod
    def here() -> Ranks:
        """Those of the default process group; one alone where there is none."""
        if not (dist.is_available() and dist.is_initialized()):
            return Ranks()
        return Ranks(dist.get_rank(), dist.get_world_size())

    def places(self, batch: int, *, parts: int = 1) -> Tensor:
        """Places `[batch / count]` in a batch that are this rank's: its part of each micro-batch.

        Losses that look at a micro-batch as a whole so see the same one on any number of ranks.
        """
        return torch.arange(batch).view(parts, self.count, -1)[:, self.rank].flatten()

    @contextmanager
    def stepping(self) -> Iterator[None]:
        """A block in which all ranks call the functions of this module in the same order."""
        global _stepping
        _stepping = self.count > 1
        try:
            yield
        finally:
            _stepping = False

    def begin(self, modules: Iterable[nn.Module], *, step: int) -> None:
        """Start or go on together, after `step` steps, from the weights and buffers of rank 0.

        Raises `RuntimeError` unless all ranks have made as many steps.
        """
        if self.count == 1:
            return
        tensors = [t for module in modules for t in (*module.parameters(), *module.buffers())]
        mine = torch.tensor([step], device=tensors[0].device)
        steps = [torch.zeros_like(mine) for _ in range(self.count)]
        dist.all_gather(steps, mine)
        if len({int(one) for one in steps}) > 1:
            raise RuntimeError(f"the ranks have made {[int(one) for one in steps]} steps")
        with torch.no_grad():
            for tensor in tensors:
                dist.broadcast(tensor, src=0)


def rank_count() -> int:
    """How many ranks share the batch at hand: 1 outside of a step."""
    return dist.get_world_size() if _stepping else 1


def sum_over_ranks(x: Tensor) -> Tensor:
    """The sum over ranks of tensors of one shape; no gradient passes."""
    if not _stepping:
        return x
    total = x.detach().clone()
    dist.all_reduce(total)
    return total


def mean_over_ranks(x: Tensor) -> Tensor:
    """The mean over ranks of tensors of one shape, with a gradient for all of them."""
    if not _stepping:
        return x
    mean: Tensor = _Mean.apply(x)  # type: ignore[no-untyped-call]
    return mean


class _Mean(torch.autograd.Function):
    """Each rank's loss depends on the mean, and so on each rank's part of it: both ways alike."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return sum_over_ranks(x) / rank_count()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        # Autograd may run in a thread of its own, but within the step.
        return sum_over_ranks(gradient.contiguous()) / rank_count()


def joined_over_ranks(x: Tensor) -> Tensor:
    """Tensors `[n, ...]` of one shape behind each other, by rank: `[ranks x n, ...]`."""
    if not _stepping:
        return x
    parts = [
        torch.empty_like(x, memory_format=torch.contiguous_format) for _ in range(rank_count())
    ]
    dist.all_gather(parts, x.detach().contiguous())
    return torch.cat(parts)


def mean_of_each(scalars: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The means over ranks of scalars, the same names on each, in one message."""
    if not _stepping or not scalars:
        return dict(scalars)
    means = sum_over_ranks(torch.stack([*scalars.values()])) / rank_count()
    return dict(zip(scalars, means, strict=True))


@torch.no_grad()
def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Make the gradients of one optimizer's parameters their means over ranks.

    Those that no rank has stay away, as they would in one process. Where this rank has none at all,
    as of an adversary before its first step, no other has.
    """
    if not _stepping:
        return
    learning = [one for one in parameters if one.requires_grad]
    if all(one.grad is None for one in learning):
        return
    absent = [one for one in learning if one.grad is None]
    present = torch.tensor([float(one.grad is not None) for one in learning])
    ranks_with = sum_over_ranks(present.to(learning[0].device))
    for bucket in _buckets(learning):
        grads = (torch.zeros_like(one) if one.grad is None else one.grad for one in bucket)
        flat = torch.cat([gradient.flatten() for gradient in grads])
        dist.all_reduce(flat)
        parts = flat.div_(rank_count()).split([one.numel() for one in bucket])
        for one, part in zip(bucket, parts, strict=True):
            one.grad = part.view_as(one)
    if absent:  # Else nothing is read back from a GPU.
        for one, ranks in zip(learning, ranks_with.tolist(), strict=True):
            if not ranks:
                one.grad = None


def _buckets(parameters: Iterable[nn.Parameter]) -> Iterator[list[nn.Parameter]]:
    bucket: list[nn.Parameter] = []
    for one in parameters:
        bucket.append(one)
        if sum(p.numel() for p in bucket) >= BUCKET:
            yield bucket
            bucket = []
    if bucket:
        yield bucket
