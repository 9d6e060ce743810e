"""Learned position codes of sequences and grids."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional as F


def sequence_positions(count: int, width: int, *, scale: float = 1.0) -> nn.Parameter:
    """Learned position codes `[count, width]` of a sequence, independent normal.

    The kept tokens' need unit scale: at the customary 0.02 the decoder ignores all tokens but the
    first for thousands of steps.
    """
    return nn.Parameter(scale * torch.randn(count, width))


def grid_positions(side: int, width: int, *, scale: float = 1.0) -> nn.Parameter:
    """Learned position codes `[side**2, width]` of a square grid, rows first.

    They start as sines and cosines of rows and columns of variance `scale**2`, with wavelengths
    from 2 patches to 4 grids: smooth, so that what neighbours share is learned at once.
    """
    quarter = width // 4
    frequencies = torch.logspace(math.log2(math.pi), math.log2(math.pi / (2 * side)), quarter, 2)
    phases = (torch.arange(side) + 0.5)[:, None] * frequencies
    waves = torch.cat([phases.sin(), phases.cos()], dim=1) * 2**0.5 * scale
    rows, columns = waves[:, None].expand(-1, side, -1), waves[None].expand(side, -1, -1)
    grid = torch.cat([rows, columns], dim=-1).reshape(side**2, 4 * quarter)
    return nn.Parameter(F.pad(grid, (0, width - 4 * quarter)))
