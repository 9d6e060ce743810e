"""Encoders behind one interface, `Encoder`: images, and how many tokens are kept, to latents."""

from __future__ import annotations

from adatok_core.config import TokenizerConfig
from adatok_core.encoders.base import Encoder
from adatok_core.encoders.grid import Grid
from adatok_core.encoders.halting import Halting
from adatok_core.encoders.one_pass import OnePass
from adatok_core.encoders.recurrent import Recurrent
from adatok_core.encoders.told import Told

__all__ = ["Encoder", "Grid", "Halting", "OnePass", "Recurrent", "Told", "build_encoder"]

ENCODINGS: dict[str, type[Encoder]] = {
    "one_pass": OnePass,
    "grid": Grid,
    "told": Told,
    "recurrent": Recurrent,
    "halting": Halting,
}


def build_encoder(config: TokenizerConfig, *, image_size: int) -> Encoder:
    """The encoder that `config.encoding` names."""
    return ENCODINGS[config.encoding](config, image_size=image_size)
