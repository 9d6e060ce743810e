"""Discrete bottlenecks behind one interface, `Quantizer`: latents in, codes and ids out."""

from __future__ import annotations

from adatok_core.config.quantizer import QUANTIZERS, QuantizerConfig
from adatok_core.quantizers.base import Projection, Quantized, Quantizer

__all__ = ["Projection", "Quantized", "Quantizer", "build_quantizer"]


def build_quantizer(width: int, settings: QuantizerConfig, *, tokens: int) -> Quantizer:
    """Build the quantizer of these settings, for `tokens` latents of `width` dimensions."""
    quantizer: Quantizer = QUANTIZERS[settings.kind].load()(width, settings, tokens=tokens)
    return quantizer
