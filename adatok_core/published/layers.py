"""Linear layers and norms, their weights laid out once as a CPU's kernels read them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from adatok_core.onednn import can_pack
from adatok_core.published.weights import Weights

Then = Literal["none", "gelu", "tanh"]
# Up to so many rows MKL gains from weights laid out for their number: a tenth at 400, then less.
ROWS = 1024
# Such a layout is a second copy of the weight: of larger models' layers it would be gigabytes.
LARGEST_LAID_OUT = 768 * 3072


def packs(weights: Weights) -> bool:
    """Whether oneDNN multiplies on the weights' device in their type."""
    on_cpu = weights.device.type == "cpu"
    return on_cpu and can_pack("bf16" if weights.dtype == torch.bfloat16 else "fp32")


class Linear:
    """`y = x W^T + b`, then a GELU (erf) or a tanh, if any.

    On CPUs weights are laid out as kernels read them: in bfloat16 once, by oneDNN; in float32 by
    MKL, which has more digits, for a number of rows that has come twice in a row.
    """

    def __init__(self, weight: Tensor, bias: Tensor, weights: Weights, then: Then = "none"):
        self.bias, self.then = bias, then
        on_cpu = weights.device.type == "cpu"
        self.by_onednn = weight.dtype == torch.bfloat16 and packs(weights)
        self.by_mkl = (
            on_cpu
            and weight.dtype == torch.float32
            and weight.numel() <= LARGEST_LAID_OUT
            and torch.backends.mkl.is_available()
        )
        self.weight = weight.contiguous()
        if self.by_onednn:
            self.weight = torch.ops.mkldnn._reorder_linear_weight(self.weight)
        self._laid_out, self._for_rows, self._rows_before = self.weight, -1, -1

    @classmethod
    def of(
        cls,
        weights: Weights,
        name: str,
        inputs: int,
        outputs: int,
        *,
        then: Then = "none",
        convolution: bool = False,
    ) -> Linear:
        """Take `<name>.weight` and `<name>.bias`; `convolution`: stored as one of 1x1."""
        end = (1, 1) if convolution else ()
        weight = weights.take(f"{name}.weight", outputs, inputs, *end).reshape(outputs, inputs)
        return cls(weight, weights.take(f"{name}.bias", outputs), weights, then)

    def __call__(self, x: Tensor) -> Tensor:
        """Map `x [..., in]` to `[..., out]`."""
        if self.by_onednn:
            return self._by_onednn(x)
        y = self._product(x)
        if self.then == "gelu":
            return F.gelu(y)
        return y.tanh_() if self.then == "tanh" else y

    def _by_onednn(self, x: Tensor) -> Tensor:
        approximate = "none" if self.then == "gelu" else ""
        y: Tensor = torch.ops.mkldnn._linear_pointwise(
            x, self.weight, self.bias, self.then, [], approximate
        )
        return y

    def _product(self, x: Tensor) -> Tensor:
        rows = x.numel() // x.shape[-1]
        if self.by_mkl and rows == self._rows_before != self._for_rows and rows <= ROWS:
            self._laid_out = torch.ops.mkl._mkl_reorder_linear_weight(self.weight, rows)
            self._for_rows = rows
        self._rows_before = rows
        if rows != self._for_rows:
            return F.linear(x, self.weight, self.bias)
        y: Tensor = torch.ops.mkl._mkl_linear(x, self._laid_out, self.weight, self.bias, rows)
        return y


@dataclass(frozen=True)
class LayerNorm:
    """Layer norm, eps 1e-5, computed in float32."""

    weight: Tensor
    bias: Tensor

    @classmethod
    def of(cls, weights: Weights, name: str, width: int) -> LayerNorm:
        """Take `<name>.weight` and `<name>.bias`."""
        return cls(*(read(weights, f"{name}.{part}", width) for part in ("weight", "bias")))

    def __call__(self, x: Tensor) -> Tensor:
        """Map float32 `x [..., D]` to `[..., D]`."""
        return F.layer_norm(x, self.weight.shape, self.weight, self.bias)


def read(weights: Weights, name: str, *shape: int) -> Tensor:
    """The tensor of this name in float32, for what is summed or compared."""
    return weights.take(name, *shape, dtype=torch.float32)
