"""How a training reads images that stay in their files: settings that change no result."""

from __future__ import annotations

from dataclasses import dataclass

from adatok_core.config.checks import Strict, require


@dataclass(frozen=True, kw_only=True)
class Loader(Strict):
    """Processes that decode images while a tokenizer trains; they are among the stage's CPUs.

    With 0 `workers` the training decodes by itself. `prefetch` batches are kept ready by each, and
    `cache_mb` of decoded images, so that these are decoded once.
    """

    workers: int = 0
    prefetch: int = 2
    cache_mb: int = 0

    def __post_init__(self) -> None:
        require(self.workers >= 0, "workers: must not be negative")
        require(self.prefetch >= 1, "prefetch: must be 1 or more")
        require(self.cache_mb >= 0, "cache_mb: must not be negative")
