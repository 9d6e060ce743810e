"""Products by oneDNN on CPUs.

Its operators are those of torch's own compiler; they have no public name.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

Precision = Literal["fp32", "bf16"]
# A twentieth to a fifth faster than MKL from about here; below there is little to gain.
LARGE_WEIGHT = 1 << 16


def can_pack(precision: Precision) -> bool:
    """Whether this machine's oneDNN multiplies in `precision`."""
    if not torch.backends.mkldnn.is_available():
        return False
    return precision == "fp32" or torch.ops.mkldnn._is_mkldnn_bf16_supported()


def linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """`F.linear` of `x [..., in]` and `weight [out, in]`, by oneDNN where that is faster."""
    if not _by_onednn(x, weight):
        return F.linear(x, weight, bias)
    y: Tensor = _Linear.apply(x, weight, bias)  # type: ignore[no-untyped-call]
    return y


def _by_onednn(x: Tensor, weight: Tensor) -> bool:
    return (
        x.device.type == "cpu"
        and x.dtype == weight.dtype == torch.float32
        and weight.numel() > LARGE_WEIGHT
        and not torch.is_autocast_enabled("cpu")
        and not torch.compiler.is_compiling()
        and can_pack("fp32")
    )


class _Linear(torch.autograd.Function):
    """The gradient of the weight is torch's product, which is the faster of the two."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return product(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        of_x, of_weight, of_bias = ctx.needs_input_grad
        rows = gradient.reshape(-1, len(weight))
        return (
            product(gradient, weight.T, None) if of_x else None,
            rows.T @ x.reshape(len(rows), -1) if of_weight else None,
            rows.sum(0) if of_bias else None,
        )


def product(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """`F.linear` by oneDNN, without a gradient; `weight` may be laid out for it."""
    y: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
    return y
