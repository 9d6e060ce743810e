import pytest
import torch

from adatok_core.config import GeneratorConfig
from adatok_core.generator.model import Generator
from adatok_core.generator.sequences import Vocabulary


@pytest.fixture(scope="session")
def untrained():
    """`untrained(lengths, **options)`: a small generator of lively predictions, its vocabulary."""

    def untrained(lengths="fixed", *, seed=0, **options):
        vocabulary = Vocabulary(codes=11, budgets=(1, 3, 6), lengths=lengths, classes=3)
        config = GeneratorConfig(
            lengths=lengths, **{"width": 16, "depth": 2, "attention_heads": 2, **options}
        )
        torch.manual_seed(seed)
        generator = Generator(
            config,
            vocabulary_size=vocabulary.size,
            classes=vocabulary.classes,
            max_steps=vocabulary.max_steps,
        ).eval()
        torch.nn.init.normal_(generator.logits.weight, std=0.5)
        return generator, vocabulary

    return untrained
