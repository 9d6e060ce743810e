"""Pre-norm transformer of OpenCLIP's names, for TiTok and those that follow it.

The residual stream is float32; products are in the type of the weights.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from adatok_core.published.layers import LayerNorm, Linear
from adatok_core.published.weights import Weights

HEAD_WIDTH = 64
EVERY = slice(None)


@dataclass(frozen=True)
class Block:
    """Full self-attention and a GELU network of four times the width, each on a residual branch."""

    norm_attention: LayerNorm
    qkv: Linear
    out: Linear
    norm_mlp: LayerNorm
    expand: Linear
    contract: Linear
    dtype: torch.dtype

    @classmethod
    def of(cls, weights: Weights, width: int) -> Block:
        """Take the tensors of one block."""
        hidden = 4 * width
        attention = weights.under("attn.")
        in_weight = attention.take("in_proj_weight", 3 * width, width)
        in_bias = attention.take("in_proj_bias", 3 * width)
        return cls(
            LayerNorm.of(weights, "ln_1", width),
            Linear(in_weight, in_bias, weights),
            Linear.of(attention, "out_proj", width, width),
            LayerNorm.of(weights, "ln_2", width),
            Linear.of(weights, "mlp.c_fc", width, hidden, then="gelu"),
            Linear.of(weights, "mlp.c_proj", hidden, width),
            weights.dtype,
        )

    def __call__(self, x: Tensor, rows: slice = EVERY) -> Tensor:
        """Map `x [B, S, D]` to what stands at `rows` of it afterwards, `[B, R, D]`."""
        batch, length, _ = x.shape
        qkv = self.qkv(self.norm_attention(x).to(self.dtype))
        q, k, v = qkv.view(batch, length, 3, -1, HEAD_WIDTH).permute(2, 0, 3, 1, 4)
        seen = F.scaled_dot_product_attention(q[:, :, rows], k, v)
        x = x[:, rows] + self.out(seen.transpose(1, 2).flatten(2))
        return x + self.contract(self.expand(self.norm_mlp(x).to(self.dtype)))


@dataclass(frozen=True)
class Transformer:
    """A norm, blocks, and a norm of the rows that are kept."""

    norm_before: LayerNorm
    blocks: tuple[Block, ...]
    norm_after: LayerNorm
    width: int
    dtype: torch.dtype

    @classmethod
    def of(cls, weights: Weights) -> Transformer:
        """Take `ln_pre`, `transformer.0` and on, and `ln_post`; the width and depth are theirs."""
        width = weights.size("ln_pre.weight", 0)
        depth = weights.count("transformer")
        blocks = (Block.of(weights.under(f"transformer.{i}."), width) for i in range(depth))
        return cls(
            LayerNorm.of(weights, "ln_pre", width),
            tuple(blocks),
            LayerNorm.of(weights, "ln_post", width),
            width,
            weights.dtype,
        )

    def __call__(self, normed: Tensor, keep: slice) -> Tensor:
        """Map rows `[B, S, D]` that `norm_before` has been through to `[B, kept, D]`.

        The last block computes the rows that are kept and no other.
        """
        x = normed
        for block in self.blocks[:-1]:
            x = block(x)
        return self.norm_after(self.blocks[-1](x, keep))
