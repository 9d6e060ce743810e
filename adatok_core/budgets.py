"""Nested tail masking: which lengths images draw in training, and which head serves a budget."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from adatok_core.config import LengthSampling


def sample_lengths(
    budgets: Sequence[int], count: int, *, config: LengthSampling, generator: torch.Generator
) -> Tensor:
    """Draw how many leading tokens each of `count` images keeps, `[count]` int64 in `1..b_M`.

    A positive `full_share` lets exactly `max(1, round(full_share * count))` images, at random
    places, keep all `b_M`.
    """
    lengths = torch.tensor(_drawn_lengths(budgets, config))
    draws = count if config.per == "image" else 1
    kept = lengths[torch.randint(len(lengths), (draws,), generator=generator)].repeat(
        count // draws
    )
    if config.full_share:
        full = max(1, round(config.full_share * count))
        kept[torch.randperm(count, generator=generator)[:full]] = budgets[-1]
    return kept


def trained_lengths(budgets: Sequence[int], config: LengthSampling) -> tuple[int, ...]:
    """All lengths that `sample_lengths` can draw for a large batch, increasing."""
    if config.full_share == 1:
        return (budgets[-1],)
    full = {budgets[-1]} if config.full_share else set()
    return tuple(sorted(full | set(_drawn_lengths(budgets, config))))


def _drawn_lengths(budgets: Sequence[int], config: LengthSampling) -> list[int]:
    if config.distribution == "all":
        return list(range(1, budgets[-1] + 1))
    if config.distribution == "powers_of_two":
        return [2**power for power in range(budgets[-1].bit_length())]
    return list(budgets)


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
