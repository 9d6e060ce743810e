"""Pre-norm transformer blocks (Vaswani et al. 2017) whose linear layers may carry heads."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from adatok_core.attention import attend
from adatok_core.lora import HeadGroups, LinearFactory


class Attention(nn.Module):
    """Multi-head self-attention.

    `mask`, boolean and broadcastable to `[B, heads, S, S]`, marks the keys each query may see.
    """

    def __init__(self, width: int, attention_heads: int, linear: LinearFactory):
        super().__init__()
        self.attention_heads = attention_heads
        self.qkv = linear("qkv", width, 3 * width)
        self.out = linear("out", width, width)
        # Twice the customary scale for queries and keys: near-uniform attention, where every latent
        # sees the same mean, is a plateau that short trainings do not leave.
        nn.init.normal_(self.qkv.weight[: 2 * width], std=1.15 * width**-0.5)

    def forward(self, x: Tensor, groups: HeadGroups | None, mask: Tensor | None) -> Tensor:
        """Map `x [B, S, D]` to `[B, S, D]`."""
        batch, length, width = x.shape
        qkv = self.qkv(x, groups).view(batch, length, 3, self.attention_heads, -1)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        y = attend(q, k, v, mask)
        read: Tensor = self.out(y.transpose(1, 2).reshape(batch, length, width), groups)
        return read


class Block(nn.Module):
    """Attention and a GELU network of four times the width, each on a residual branch."""

    def __init__(self, width: int, attention_heads: int, linear: LinearFactory):
        super().__init__()
        self.norm_attention = nn.LayerNorm(width)
        self.attention = Attention(width, attention_heads, linear)
        self.norm_mlp = nn.LayerNorm(width)
        self.expand = linear("expand", width, 4 * width)
        self.contract = linear("contract", 4 * width, width)

    def forward(self, x: Tensor, groups: HeadGroups | None, mask: Tensor | None) -> Tensor:
        """Map `x [B, S, D]` to `[B, S, D]`."""
        x = x + self.attention(self.norm_attention(x), groups, mask)
        hidden = F.gelu(self.expand(self.norm_mlp(x), groups))
        x = x + self.contract(hidden, groups)
        return x


class Transformer(nn.Module):
    """A stack of blocks and a final norm."""

    def __init__(self, depth: int, width: int, attention_heads: int, linear: LinearFactory):
        super().__init__()
        blocks = [Block(width, attention_heads, linear) for _ in range(depth)]
        self.blocks = nn.ModuleList(blocks)
        self.norm = nn.LayerNorm(width)
        for block in blocks:
            for layer in (block.attention.out, block.contract):
                # Residual branches start small, so that depth does not blow up the stream.
                torch.nn.init.normal_(layer.weight, std=(2 * depth * layer.in_features) ** -0.5)

    def forward(
        self, x: Tensor, groups: HeadGroups | None = None, mask: Tensor | None = None
    ) -> Tensor:
        """Map `x [B, S, D]` to `[B, S, D]`."""
        for block in self.blocks:
            x = block(x, groups, mask)
        normed: Tensor = self.norm(x)
        return normed
