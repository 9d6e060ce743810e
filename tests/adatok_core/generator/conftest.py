from dataclasses import fields

import pytest
import torch

from adatok_core.config import GeneratorConfig, GeneratorTraining
from adatok_core.generator.model import Generator
from adatok_core.generator.sequences import Vocabulary
from adatok_core.generator.training import GeneratorTrainer


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
        torch.nn.init.normal_(generator.entries.weight)
        torch.nn.init.normal_(generator.logits.weight, std=0.5)
        return generator, vocabulary

    return untrained


@pytest.fixture(scope="session")
def trainer_of():
    """`trainer_of(lengths, **options)`: of 20 images of 3 classes with 1, 3 or 6 of 11 ids."""

    def trainer_of(lengths="end_token", *, data=None, **options):
        known = {field.name for field in fields(GeneratorConfig)}
        shape = {"width": 16, "depth": 1, "attention_heads": 2}
        shape |= {key: value for key, value in options.items() if key in known}
        training = {"steps": 6, "batch": 8, "learning_rate": 1e-2, "warmup_steps": 2}
        training |= {key: value for key, value in options.items() if key not in known}
        return GeneratorTrainer(
            GeneratorConfig(lengths=lengths, **shape),
            GeneratorTraining(**training),
            **{**images(lengths), **(data or {})},
        )

    return trainer_of


def images(lengths, *, count=20):
    generator = torch.Generator().manual_seed(5)
    kept = torch.tensor([1, 3, 6])[torch.randint(3, (count,), generator=generator)]
    return {
        "vocabulary": Vocabulary(codes=11, budgets=(1, 3, 6), lengths=lengths, classes=3),
        "ids": torch.randint(11, (count, 6), generator=generator),
        "lengths": torch.full_like(kept, 6) if lengths == "fixed" else kept,
        "labels": torch.randint(3, (count,), generator=generator),
    }
