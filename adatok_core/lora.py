"""Multi-Head LoRA: one low-rank adapter set per candidate budget on a shared linear layer.

A batch mixes heads. Its images are sorted by head once; every layer then forms one effective
weight per head (`W + alpha / r * B_m A_m`, Hu et al. 2021) and multiplies all heads in one grouped
matrix product. The cost over a plain layer is the `M` small products that form the weights; there
is no loop over heads and no copy of weights per image.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F


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
        ends = torch.bincount(heads, minlength=count).cumsum(0)
        return HeadGroups(order, torch.argsort(order), ends)


def _aligned(x: Tensor) -> Tensor:
    """Zero-pad the last dimension to the multiple of 16 bytes that `grouped_mm` asks for."""
    missing = -x.shape[-1] % (16 // x.element_size())
    return F.pad(x, (0, missing)) if missing else x


class MultiHeadLinear(nn.Linear):
    """`y = (W + alpha / r * B_m A_m) x + c`, head `m` chosen by image; rank 0 is `nn.Linear`."""

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        heads: int = 0,
        rank: int = 0,
        alpha: float = 1,
    ):
        super().__init__(in_features, out_features)
        self.rank = rank if heads else 0
        self.scale = alpha / rank if self.rank else 0.0
        if self.rank:
            self.down = nn.Parameter(torch.randn(heads, rank, in_features) * in_features**-0.5)
            self.up = nn.Parameter(torch.zeros(heads, out_features, rank))

    def head_weights(self) -> Tensor:
        """Effective weights of all heads, `[M, out, in]`."""
        shared = self.weight.expand(len(self.down), -1, -1)
        return torch.baddbmm(shared, self.up, self.down, alpha=self.scale)

    def forward(self, x: Tensor, groups: HeadGroups | None = None) -> Tensor:
        """Map `x [B, S, in]`, sorted by head when `groups` is given, to `[B, S, out]`."""
        if not self.rank:
            return F.linear(x, self.weight, self.bias)
        if groups is None:
            raise ValueError("a layer with LoRA heads needs the images' heads")
        batch, length, _ = x.shape
        weights = self.head_weights()
        rows = x.reshape(batch * length, -1)
        if torch.is_autocast_enabled(x.device.type):
            dtype = torch.get_autocast_dtype(x.device.type)
            rows, weights = rows.to(dtype), weights.to(dtype)
        rows, weights = _aligned(rows), _aligned(_aligned(weights).transpose(1, 2))
        ends = (groups.ends * length).to(torch.int32)
        y = F.grouped_mm(rows, weights, offs=ends)[:, : self.out_features]
        return y.reshape(batch, length, -1) + self.bias.to(y.dtype)

    @torch.no_grad()
    def merged(self, head: int) -> MultiHeadLinear:
        """A plain layer that computes what `head` computes, at no extra cost."""
        plain = MultiHeadLinear(self.in_features, self.out_features).to(self.weight)
        plain.weight.copy_(self.head_weights()[head] if self.rank else self.weight)
        plain.bias.copy_(self.bias)
        return plain


def merge_head(module: nn.Module, head: int) -> None:
    """Replace every LoRA layer inside `module`, in place, by its merged form for `head`."""
    for name, child in module.named_children():
        if isinstance(child, MultiHeadLinear):
            setattr(module, name, child.merged(head))
        else:
            merge_head(child, head)
