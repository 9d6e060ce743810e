"""Seeds of single images."""

from __future__ import annotations

STRIDE = 1_000_003  # Images of two seeds share none, up to a million of them.


def image_seed(seed: int, index: int) -> int:
    """The seed of image `index` under `seed`.

    Below 2^32: torch's CPU generator drops all higher bits.
    """
    return (seed * STRIDE + index) % 2**32
