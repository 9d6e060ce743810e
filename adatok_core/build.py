"""The tokenizer that a configuration describes."""

from __future__ import annotations

from adatok_core.config import TokenizerConfig
from adatok_core.config.encoder import ENCODERS
from adatok_core.registry import load_attribute
from adatok_core.tokenizer import ElasticTokenizer


def build_tokenizer(config: TokenizerConfig, *, image_size: int) -> ElasticTokenizer:
    """Build an untrained tokenizer for images of `image_size` px, of torch's current seed.

    Raises:
        ValueError: patches or tokens do not fit the resolution.
    """
    kind: type[ElasticTokenizer] = load_attribute(ENCODERS[config.encoding].tokenizer)
    return kind(config, image_size=image_size)
