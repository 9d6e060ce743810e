"""Encoders behind one interface, `Encoder`: images, and how many tokens are kept, to latents."""

from __future__ import annotations

from adatok_core.config import TokenizerConfig
from adatok_core.config.encoder import ENCODERS
from adatok_core.encoders.base import Encoder

__all__ = ["Encoder", "build_encoder"]


def build_encoder(config: TokenizerConfig, *, image_size: int) -> Encoder:
    """Build the encoder that `config.encoding` names."""
    encoder: Encoder = ENCODERS[config.encoding].load()(config, image_size=image_size)
    return encoder
