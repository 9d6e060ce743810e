"""Scaled dot-product attention (Vaswani et al. 2017, section 3.2.1)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
    """Values `[B, heads, S, d]` that queries `q` read from `k` and `v`, of the same shape.

    `mask`, boolean and broadcastable to `[B, heads, S, S]`, marks the keys each query may see.
    """
    if not _in_products(q):
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    with torch.autocast("cpu", enabled=False):  # It would have the softmax in fp32.
        scores: Tensor = q * q.shape[-1] ** -0.5 @ k.transpose(-2, -1)
        if mask is not None:
            scores = scores.masked_fill(~mask, -torch.inf)
        return scores.softmax(-1) @ v


def _in_products(q: Tensor) -> bool:
    """Whether two products are faster: torch's kernel for CPUs gains nothing from bf16."""
    return q.device.type == "cpu" and q.dtype == torch.bfloat16
