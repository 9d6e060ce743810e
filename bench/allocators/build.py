"""From a configuration to an allocator that is ready to allocate."""

from __future__ import annotations

from bench.allocators.base import Allocator, Fitting
from bench.config.allocators import ALLOCATORS, AllocatorSettings


def build_allocator(config: AllocatorSettings, fitting: Fitting) -> Allocator:
    """Build and fit the allocator of any configuration but that of a tokenizer's own allocation.

    Raises:
        UserError: the mean budget lies outside the candidates.
    """
    allocator: Allocator = ALLOCATORS[config.kind].load()(config, fitting)
    return allocator
