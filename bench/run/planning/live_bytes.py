"""Bytes of the tensors that a block of code holds at once, on tensors that have shapes alone."""

from __future__ import annotations

import math
import warnings
import weakref
from collections.abc import Callable, Iterator, Sequence
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
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

MOMENTS = 2
# What code raises that looks at values, where there are none.
NO_VALUES = (
    DataDependentOutputException,
    DynamicOutputShapeException,
    UnsupportedOperatorException,
)


class LiveBytes(TorchDispatchMode):
    """Counts the storages that operations make while it is on, each until it is freed."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.peak = 0
        self._there: dict[int, weakref.ref[torch.UntypedStorage]] = {}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        made = _KNOWN.get(func, func)(*args, **(kwargs or {}))
        for one in tree_iter(made):
            if isinstance(one, FakeTensor):
                one.constant = None  # A value it knows after all, which copies would trip over.
            if isinstance(one, Tensor):
                self._add(one.untyped_storage())
        return made

    def _add(self, storage: torch.UntypedStorage) -> None:
        key, size = id(storage), storage.nbytes()
        if key in self._there:
            return

        def freed(_: object) -> None:
            self.now -= size
            del self._there[key]

        self._there[key] = weakref.ref(storage, freed)
        self.now += size
        self.peak = max(self.peak, self.now)


@contextmanager
def shapes_alone() -> Iterator[LiveBytes]:
    """A block whose tensors take no memory, and what they would take.

    Real tensors that meet them count as nothing. Code that looks at values raises one of
    `NO_VALUES`.
    """
    # Modules are where they are to be, and to move them fails (torch 2.13).
    staying = mock.patch.object(nn.Module, "to", lambda module, *where: module)
    with warnings.catch_warnings(), staying:
        warnings.filterwarnings("ignore", "Accessing the data pointer of FakeTensor")
        with FakeTensorMode(allow_non_fake_inputs=True), LiveBytes() as live:
            yield live


def most_bytes(live: LiveBytes, modules: Sequence[nn.Module]) -> float:
    """Bytes of a training's larger moment, once the gradients of a step are there.

    The backward pass, or the update of the averages of the first of the `modules` by as much; in
    both AdamW keeps two moments of each weight that learns.
    """
    learning = [p for module in modules for p in module.parameters() if p.requires_grad]
    moments = MOMENTS * sum(p.nbytes for p in learning)
    averaging = sum(p.nbytes for p in modules[0].parameters())
    return float(moments + max(live.peak, live.now + averaging))


def _grouped(a: Tensor, b: Tensor, offs: Tensor | None = None, *rest: Any, **more: Any) -> Tensor:
    """The product's shape: `[T, K] x [M, K, N]`, or `[K, T] x [T, N]` for each group.

    Torch knows it of bfloat16 alone.
    """
    if b.dim() == 3:
        return a.new_empty(len(a), b.shape[-1])
    assert offs is not None
    return a.new_empty(math.prod(offs.shape), len(a), b.shape[-1])


_KNOWN: dict[Any, Callable[..., Tensor]] = {torch.ops.aten._grouped_mm.default: _grouped}
