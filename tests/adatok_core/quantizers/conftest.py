import pytest
import torch

from adatok_core.quantizers import build_quantizer

WIDTH, TOKENS = 8, 10


@pytest.fixture
def quantizer_of():
    """`quantizer_of(settings, width=8, tokens=10, seed=0)`: an untrained quantizer."""

    def quantizer_of(settings, *, width=WIDTH, tokens=TOKENS, seed=0):
        torch.manual_seed(seed)
        return build_quantizer(width, settings, tokens=tokens)

    return quantizer_of


@pytest.fixture
def bare(quantizer_of):
    """A quantizer whose projection is the identity: its latents are its points."""

    def bare(settings, *, dimension, tokens=10, seed=0):
        quantizer = quantizer_of(settings, width=dimension, tokens=tokens, seed=seed)
        torch.nn.init.eye_(quantizer.project.weight)
        return quantizer

    return bare


@pytest.fixture
def seeded():
    """`seeded(seed)`: a generator."""
    return lambda seed: torch.Generator().manual_seed(seed)
