"""Counting FLOPs by torch's own counter."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode


def counting() -> FlopCounterMode:
    """A counter of what is computed while its block runs."""
    grouped = {torch.ops.aten._grouped_mm: _grouped_product}  # Torch has no formula of its own.
    return FlopCounterMode(display=False, custom_mapping=grouped)


def _grouped_product(a: Any, b: Any, *rest: Any, out_shape: Any = None, **more: Any) -> int:
    """`[T, K] x [M, K, N]`, or `[K, T] x [T, N]` per group: each row meets one group only."""
    return int(2 * math.prod(a) * b[-1])
