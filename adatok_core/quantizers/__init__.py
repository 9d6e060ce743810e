"""Discrete bottlenecks behind one interface, `Quantizer`: latents in, codes and ids out."""

from __future__ import annotations

from adatok_core import config
from adatok_core.quantizers.base import Projection, Quantized, Quantizer
from adatok_core.quantizers.fsq import FSQ
from adatok_core.quantizers.lfq import LFQ
from adatok_core.quantizers.residual_vq import ResidualVQ
from adatok_core.quantizers.vq import VQ

__all__ = [
    "FSQ",
    "LFQ",
    "VQ",
    "Projection",
    "Quantized",
    "Quantizer",
    "ResidualVQ",
    "build_quantizer",
]

KINDS: dict[type, type[Quantizer]] = {
    config.FSQ: FSQ,
    config.LFQ: LFQ,
    config.VQ: VQ,
    config.ResidualVQ: ResidualVQ,
}


def build_quantizer(width: int, settings: config.Quantizer, *, tokens: int) -> Quantizer:
    """The quantizer that `settings` describe, for `tokens` latents of `width` dimensions."""
    return KINDS[type(settings)](width, settings, tokens=tokens)
