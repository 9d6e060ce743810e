import numpy as np
import pytest

from bench.allocators.base import Seen

BUDGETS = np.array([2, 4, 8, 16])
SIZE, TOKENS, CODES = 16, 16, 64


def _images(n, *, seed=0, nested=True):
    """Images whose complexity shows in pixels, in codes and in how their distortion falls.

    Of an image with complexity `c` in [0, 1], the first `c` of the rows are noise, its codes come
    from the first `1 + 63 c` of 64, and its distortion falls by `exp(-tokens / (1 + 9 c))`.
    """
    rng = np.random.default_rng(seed)
    complexity = rng.random(n)
    noise = rng.integers(0, 256, (n, 3, SIZE, SIZE))
    rows = np.arange(SIZE)[None, None, :, None]
    pixels = np.where(rows < complexity[:, None, None, None] * SIZE, noise, 128)
    ids = (rng.random((n, TOKENS)) * (1 + (CODES - 1) * complexity[:, None])).astype(np.int32)
    pace = 1 + 9 * complexity[:, None]
    curves = (0.5 + complexity[:, None]) * np.exp(-BUDGETS / pace)
    latents = np.concatenate([complexity[:, None, None], rng.normal(size=(n, 1, 3))], axis=-1)
    return Seen(
        count=n,
        nested=nested,
        pixels=pixels.astype(np.uint8),
        latents=np.repeat(latents, 2, axis=1).astype(np.float16),
        ids=ids,
        curves=curves,
    )


@pytest.fixture(scope="session")
def images():
    """`images(n, seed=..., nested=...)`: synthetic images with all their parts."""
    return _images


@pytest.fixture(scope="session")
def budgets():
    return BUDGETS


@pytest.fixture(scope="session")
def training():
    return _images(600, seed=1)


@pytest.fixture(scope="session")
def judged():
    return _images(400, seed=2)
