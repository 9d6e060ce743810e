"""The tokenizer that a configuration describes."""

from __future__ import annotations

from adatok_core.config import TokenizerConfig
from adatok_core.halting import HaltingTokenizer
from adatok_core.tokenizer import ElasticTokenizer


def build_tokenizer(config: TokenizerConfig, *, image_size: int) -> ElasticTokenizer:
    """An untrained tokenizer for images of `image_size` px, of torch's current seed.

    Raises `ValueError` when patches or tokens do not fit the resolution.
    """
    kind = HaltingTokenizer if config.encoding == "halting" else ElasticTokenizer
    return kind(config, image_size=image_size)
