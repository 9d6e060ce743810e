"""Which token comes next, given logits: guidance, temperature, top-k, top-p, and one draw.

Letters: `B` sequences, `V` tokens. Every row is treated on its own, and its draw is the inverse of
its cumulative distribution at a number given from outside: the token of a sequence depends neither
on the others of its batch nor on its place among them.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from adatok_core.config import Sampling

# Probabilities as integers add up exactly, in any order, on any device: no rounding makes the
# cumulative distribution fall, or rise at a token of probability 0.
UNITS = 2.0**60


def uniforms(seed: int, count: int) -> Tensor:
    """The numbers `[count]` in `[0, 1)`, float64, of a sequence's steps; more only add to them."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, generator=generator, dtype=torch.float64)


def guided(conditional: Tensor, unconditional: Tensor, scale: float) -> Tensor:
    """Logits `unconditional + scale * (conditional - unconditional)`, float32 (Ho & Salimans 2022).

    At `scale` 1 they are the conditional ones, to the bit.
    """
    return torch.lerp(unconditional.float(), conditional.float(), scale)


def choose(logits: Tensor, uniforms: Tensor, *, sampling: Sampling, allowed: Tensor) -> Tensor:
    """The next tokens `[B]` of `logits [B, V]`, at `uniforms [B]` in `[0, 1)`.

    Only tokens that `allowed` (bool, broadcastable to `[B, V]`) marks are chosen. Where tokens are
    equally probable, the smallest comes first: at temperature 0, and in who is among the `top_k` or
    within `top_p`. Guidance has been applied before (`guided`).

    A row from which nothing can be drawn (nothing is allowed, or a logit is NaN or infinite) gets
    -1, which is no token.
    """
    logits = logits.float().where(allowed, -math.inf)
    best, token = logits.max(-1, keepdim=True)
    if sampling.temperature > 0:
        # The largest is 0 before it is divided: no temperature is too small.
        chances = logits.sub_(best).div_(sampling.temperature).softmax(-1)
        token = _draw(_most_probable(chances, sampling), uniforms[:, None].to(chances.device))
    return token.where(best.isfinite(), -1).squeeze(-1)


def _most_probable(chances: Tensor, sampling: Sampling) -> Tensor:
    """The `chances [B, V]` of the tokens that top-k and top-p keep; the others have none."""
    count = min(sampling.top_k or chances.shape[-1], chances.shape[-1])
    if count == chances.shape[-1] and sampling.top_p == 1:
        return chances
    largest = chances.topk(count).values
    kept = torch.full_like(largest[:, :1], count, dtype=torch.int64)
    if sampling.top_p < 1:
        together = largest.cumsum(-1, dtype=torch.float64)
        before = together - largest
        kept = (before < sampling.top_p * together[:, -1:]).sum(-1, keepdim=True).clamp(min=1)
    least = largest.gather(-1, kept - 1)
    above, level = chances > least, chances == least
    room = kept - above.sum(-1, keepdim=True)
    return chances.where(above | (level & (level.cumsum(-1) <= room)), 0)


def _draw(chances: Tensor, uniforms: Tensor) -> Tensor:
    """The tokens `[B, 1]` where the cumulative `chances [B, V]` first exceed `uniforms [B, 1]`."""
    cumulative = (chances * UNITS).long().cumsum_(-1)
    total = cumulative[:, -1:]
    # Rounding must not lead to the total, which no token exceeds.
    at = torch.minimum((uniforms.double() * total).long(), total - 1)
    return torch.searchsorted(cumulative, at, right=True)
