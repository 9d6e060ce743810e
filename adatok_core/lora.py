"""Low-rank adapters (Hu et al. 2021) on shared linear layers, one set per head or one for all.

Multi-Head LoRA: a batch mixes heads. Its images are sorted by head once; every layer then forms one
effective weight per head (`W + alpha / r * B_m A_m`) and multiplies all heads in one grouped matrix
product. The cost over a plain layer is the `M` small products that form the weights; there is no
loop over heads and no copy of weights per image. Under autocast one product of all images with `W`
is added to what the adapters give.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from adatok_core.config import LoRA
from adatok_core.onednn import linear


@dataclass(frozen=True)
class HeadGroups:
    """Images `[B]` in the order of their heads, `ends [M]` images into the sorted batch."""

    order: Tensor
    inverse: Tensor
    ends: Tensor

    @staticmethod
    def of(heads: Tensor, *, count: int) -> HeadGroups:
        """Group images by `heads [B]` (values in `0..count-1`)."""
        order = torch.argsort(heads, stable=True)
        # `bincount` would read the heads back from a GPU.
        ends = (heads[:, None] == torch.arange(count, device=heads.device)).sum(0).cumsum(0)
        return HeadGroups(order, torch.argsort(order), ends)


def _aligned(x: Tensor) -> Tensor:
    """Zero-pad the last dimension to the multiple of 16 bytes that `grouped_mm` asks for."""
    missing = -x.shape[-1] % (16 // x.element_size())
    return F.pad(x, (0, missing)) if missing else x


@torch.library.custom_op("adatok::grouped_product", mutates_args=())
def _grouped_product(rows: Tensor, columns: Tensor, offs: Tensor) -> Tensor:
    """`F.grouped_mm` of `[T, in]` and `[M, in, out]` for `torch.compile`.

    As PyTorch's own it cannot be traced in float32.
    """
    return F.grouped_mm(rows, columns, offs=offs)


@_grouped_product.register_fake
def _(rows: Tensor, columns: Tensor, offs: Tensor) -> Tensor:
    return rows.new_empty(len(rows), columns.shape[-1])


def _keep_factors(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _grouped_gradients(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
    rows, columns, offs = ctx.saved_tensors
    of_rows = _grouped_product(gradient.contiguous(), columns.transpose(1, 2), offs)
    return of_rows, _grouped_outer(rows, gradient.contiguous(), offs), None


_grouped_product.register_autograd(_grouped_gradients, setup_context=_keep_factors)


@torch.library.custom_op("adatok::grouped_outer", mutates_args=())
def _grouped_outer(rows: Tensor, gradient: Tensor, offs: Tensor) -> Tensor:
    """Products `[M, in, out]` of the groups of `[T, in]` and `[T, out]`."""
    return F.grouped_mm(rows.T, gradient, offs=offs)


@_grouped_outer.register_fake
def _(rows: Tensor, gradient: Tensor, offs: Tensor) -> Tensor:
    return rows.new_empty(len(offs), rows.shape[1], gradient.shape[1])


def _multiply(x: Tensor, weights: Tensor, groups: HeadGroups | None) -> Tensor:
    """`x [B, S, in]` by `weights [M, out, in]`, those of each image's head: `[B, S, out]`."""
    if len(weights) == 1:
        return linear(x, weights[0], None)
    if groups is None:
        raise ValueError("a layer with LoRA heads needs the images' heads")
    batch, length, _ = x.shape
    rows, columns = _aligned(x.flatten(0, 1)), _aligned(_aligned(weights).transpose(1, 2))
    ends = (groups.ends * length).to(torch.int32)
    grouped = _grouped_product if torch.compiler.is_compiling() else F.grouped_mm
    y = grouped(rows, columns, offs=ends)[:, : weights.shape[1]]
    return y.view(batch, length, -1)


class MultiHeadLinear(nn.Linear):
    """`y = (W + alpha / r * B_m A_m) x + c`, `m` the image's head; without sets, `nn.Linear`.

    There are as many `sets` of adapters as heads, or one that all heads share. A rank above
    `min(in, out)` would add nothing and is cut to it; the scale stays `alpha / rank`.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        sets: int = 0,
        rank: int = 0,
        alpha: float = 1,
    ):
        super().__init__(in_features, out_features)
        self.rank = min(rank, in_features, out_features) if sets else 0
        if self.rank:
            self.scale = alpha / rank
            self.down = nn.Parameter(torch.randn(sets, self.rank, in_features) * in_features**-0.5)
            self.up = nn.Parameter(torch.zeros(sets, out_features, self.rank))

    def effective_weights(self) -> Tensor:
        """Weights of all sets, adapters included: `[sets, out, in]`."""
        shared = self.weight.expand(len(self.down), -1, -1)
        return torch.baddbmm(shared, self.up, self.down, alpha=self.scale)

    def forward(self, x: Tensor, groups: HeadGroups | None = None) -> Tensor:
        """Map `x [B, S, in]` to `[B, S, out]`.

        Images are sorted by head as `groups` say, which is needed with two sets or more.
        """
        if not self.rank:
            return linear(x, self.weight, self.bias)
        if torch.is_autocast_enabled(x.device.type):
            y = self._beside(x, groups, torch.get_autocast_dtype(x.device.type))
        else:
            y = _multiply(x, self.effective_weights(), groups)
        return y + self.bias.to(y.dtype)

    def _beside(self, x: Tensor, groups: HeadGroups | None, dtype: torch.dtype) -> Tensor:
        """`s B A x` and `W x`, summed in the accumulator of the second product.

        In `dtype` a small adapter would be rounded away if added to the weight or to the output.
        """
        x = x.to(dtype)
        low = _multiply(x, self.down.to(dtype), groups)
        adapted = _multiply(low, (self.scale * self.up).to(dtype), groups)
        rows = torch.addmm(adapted.flatten(0, 1), x.flatten(0, 1), self.weight.to(dtype).T)
        return rows.view_as(adapted)

    @torch.no_grad()
    def merge(self, head: int) -> None:
        """Become, in place, the plain layer that computes what `head` computes."""
        if self.rank:
            weights = self.effective_weights()
            self.weight.copy_(weights[head] if len(weights) > 1 else weights[0])
            del self.down, self.up, self.scale
            self.rank = 0


LinearFactory = Callable[[str, int, int], MultiHeadLinear]


def plain(name: str, in_features: int, out_features: int) -> MultiHeadLinear:
    """The layer `name` without adapters."""
    return MultiHeadLinear(in_features, out_features)


def adapted(lora: LoRA, *, budgets: int) -> LinearFactory:
    """A factory of a decoder's layers, those in `lora.layers` with adapters for all budgets."""
    sets = budgets if lora.adapters == "per_budget" else 1
    rank = lora.rank * budgets if lora.adapters == "shared_same_parameters" else lora.rank

    def layer(name: str, in_features: int, out_features: int) -> MultiHeadLinear:
        if name not in lora.layers:
            return plain(name, in_features, out_features)
        return MultiHeadLinear(in_features, out_features, sets=sets, rank=rank, alpha=lora.alpha)

    return layer


def is_adapter(name: str) -> bool:
    """Whether the parameter `name` of a state dict belongs to an adapter."""
    return name.rpartition(".")[2] in ("down", "up")


def merge_head(module: nn.Module, head: int) -> None:
    """Merge the adapters of `head` into every layer inside `module`, in place."""
    for layer in module.modules():
        if isinstance(layer, MultiHeadLinear):
            layer.merge(head)
