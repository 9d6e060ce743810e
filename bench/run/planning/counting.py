"""Counting FLOPs by torch's own counter."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count


def counting() -> FlopCounterMode:
    """A counter of what is computed while its block runs."""
    return FlopCounterMode(display=False, custom_mapping=_NOT_KNOWN)


def _grouped_product(a: Any, b: Any, *rest: Any, out_shape: Any = None, **more: Any) -> int:
    """`[T, K] x [M, K, N]`, or `[K, T] x [T, N]` per group: each row meets one group only."""
    return int(2 * math.prod(a) * b[-1])


def _linear(x: Any, weight: Any, *rest: Any, out_shape: Any = None, **more: Any) -> int:
    return int(2 * math.prod(x) * weight[0])


def _attention(q: Any, k: Any, v: Any, *rest: Any, out_shape: Any = None, **more: Any) -> int:
    return int(sdpa_flop_count(q, k, v))


def _attention_backward(
    gradient: Any, q: Any, k: Any, v: Any, *rest: Any, out_shape: Any = None, **more: Any
) -> int:
    """As torch counts it on a GPU: the scores are computed once more."""
    return int(sdpa_backward_flop_count(gradient, q, k, v))


# Operations for which torch has no formula, and counts nothing.
_ATEN = torch.ops.aten
_NOT_KNOWN = {
    _ATEN._grouped_mm: _grouped_product,
    _ATEN._scaled_dot_product_flash_attention_for_cpu: _attention,
    _ATEN._scaled_dot_product_flash_attention_for_cpu_backward: _attention_backward,
}
if torch.backends.mkldnn.is_available():
    _NOT_KNOWN[torch.ops.mkldnn._linear_pointwise] = _linear
