"""Nested tail masking: which tokens a budget keeps, and which head serves it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def require_budgets(kept: Tensor, budgets: Sequence[int]) -> None:
    """Raise `ValueError` for a budget in `kept [B]` below 1 or above `b_M`."""
    if kept.numel() and (int(kept.min()) < 1 or int(kept.max()) > budgets[-1]):
        raise ValueError(f"token budgets must lie in 1..{budgets[-1]}")


def heads_of(kept: Tensor, budgets: Sequence[int]) -> Tensor:
    """Head `m` of each image `[B]`: the one that serves budgets in `(b_{m-1}, b_m]`.

    Raises `ValueError` for a budget below 1 or above `b_M`.
    """
    require_budgets(kept, budgets)
    return torch.searchsorted(torch.tensor(budgets, device=kept.device), kept)


def prefix_mask(kept: Tensor, length: int) -> Tensor:
    """Mark the first `kept [B]` of `length` tokens, `[B, length]` bool."""
    return torch.arange(length, device=kept.device) < kept[:, None]
