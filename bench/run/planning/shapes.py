"""Tensors that have shapes alone, and the bytes that a training's step would take with values."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensor,
    FakeTensorMode,
    UnsupportedOperatorException,
)
from torch.autograd.graph import saved_tensors_hooks
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

from adatok_core import attention

# AdamW's of each weight that learns.
MOMENTS = 2
# What code raises that looks at values, where there are none.
NO_VALUES = (
    DataDependentOutputException,
    DynamicOutputShapeException,
    UnsupportedOperatorException,
)


class Saved(saved_tensors_hooks):
    """Counts the bytes that a forward pass saves for the backward pass, `besides` apart."""

    def __init__(self, besides: Iterable[Tensor]):
        self.bytes = 0
        self._known = {one.untyped_storage()._cdata for one in besides}
        super().__init__(self._pack, lambda saved: saved)

    def _pack(self, saved: Tensor) -> Tensor:
        storage = saved.untyped_storage()
        if storage._cdata not in self._known:
            self._known.add(storage._cdata)  # It is kept, so that no other one gets its address.
            self.bytes += storage.nbytes()
        return saved.detach()


@contextmanager
def shapes_alone() -> Iterator[None]:
    """A block whose new tensors take no memory, and are attended to as on a GPU.

    Code that looks at values raises one of `NO_VALUES`.
    """
    # Modules are where they are to be, and to move them fails (torch 2.13).
    staying = mock.patch.object(nn.Module, "to", lambda module, *where: module)
    as_there = mock.patch.object(attention, "_in_products", return_value=False)
    with warnings.catch_warnings(), staying, as_there:
        warnings.filterwarnings("ignore", "Accessing the data pointer of FakeTensor")
        with FakeTensorMode(allow_non_fake_inputs=True), _More():  # type: ignore[no-untyped-call]
            yield


def training_step_bytes(modules: Sequence[nn.Module], saved: int) -> float:
    """Bytes of a training's larger moment: weights, averages and moments beside what is saved.

    The backward pass ends with all gradients, and begins with all that is saved. While the averages
    are updated there is another copy of the weights. The first of `modules` has an average.
    """
    weights, learning = (
        [p for module in modules for p in module.parameters() if p.requires_grad or every]
        for every in (True, False)
    )
    gradients = sum(p.nbytes for p in learning)
    averaged = sum(p.nbytes for p in modules[0].parameters())
    fixed = sum(p.nbytes for p in weights) + averaged + MOMENTS * gradients
    return float(fixed + max(saved, gradients + averaged))


class _More(TorchDispatchMode):
    """What torch does not know of such tensors."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        made = _KNOWN.get(func, func)(*args, **(kwargs or {}))
        for one in tree_iter(made):
            if isinstance(one, FakeTensor):
                one.constant = None  # A value it knows after all, which copies would trip over.
        return made


def _grouped(a: Tensor, b: Tensor, offs: Tensor | None = None, *rest: Any, **more: Any) -> Tensor:
    """The product's shape: `[T, K] x [M, K, N]`, or `[K, T] x [T, N]` for each group.

    Torch knows it of bfloat16 alone.
    """
    if b.dim() == 3:
        return a.new_empty(len(a), b.shape[-1])
    assert offs is not None
    return a.new_empty(math.prod(offs.shape), len(a), b.shape[-1])


_KNOWN: dict[Any, Callable[..., Tensor]] = {torch.ops.aten._grouped_mm.default: _grouped}
