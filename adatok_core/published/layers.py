"""Linear layers and norms, their weights laid out once as a CPU's kernels read them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from adatok_core.generator.weights import can_pack
from adatok_core.published.weights import Weights


def packs(weights: Weights) -> bool:
    """Whether oneDNN multiplies on the weights' device in their type.

    Its operators are those of torch's own compiler; they have no public name.
    """
    on_cpu = weights.device.type == "cpu"
    return on_cpu and can_pack("bf16" if weights.dtype == torch.bfloat16 else "fp32")


@dataclass(frozen=True)
class Linear:
    """`y = x W^T + b`, then a GELU (erf) or a tanh, if any."""

    weight: Tensor
    bias: Tensor | None
    then: Literal["none", "gelu", "tanh"]
    packed: bool

    @classmethod
    def of(
        cls,
        weights: Weights,
        name: str,
        inputs: int,
        outputs: int,
        *,
        then: Literal["none", "gelu", "tanh"] = "none",
        convolution: bool = False,
        bias_name: str = "",
    ) -> Linear:
        """Take `<name>.weight` and `<name>.bias`; `convolution`: stored as one of 1x1."""
        end = (1, 1) if convolution else ()
        weight = weights.take(f"{name}.weight", outputs, inputs, *end).reshape(outputs, inputs)
        bias = weights.take(bias_name or f"{name}.bias", outputs)
        return cls.made(weight, bias, weights, then=then)

    @classmethod
    def made(
        cls,
        weight: Tensor,
        bias: Tensor | None,
        weights: Weights,
        *,
        then: Literal["none", "gelu", "tanh"] = "none",
    ) -> Linear:
        """A layer of these tensors, packed where `weights` are on a CPU that can."""
        packed = packs(weights)
        if packed:
            weight = torch.ops.mkldnn._reorder_linear_weight(weight.contiguous())
        return cls(weight, bias, then, packed)

    def __call__(self, x: Tensor) -> Tensor:
        """Map `x [..., in]` to `[..., out]`."""
        if self.packed:
            approximate = "none" if self.then == "gelu" else ""
            y: Tensor = torch.ops.mkldnn._linear_pointwise(
                x, self.weight, self.bias, self.then, [], approximate
            )
            return y
        y = F.linear(x, self.weight, self.bias)
        if self.then == "gelu":
            return F.gelu(y)
        return torch.tanh(y) if self.then == "tanh" else y


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
