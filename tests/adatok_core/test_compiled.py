from dataclasses import replace

import pytest
import torch
from torch._dynamo.utils import counters

from adatok_core.config import (
    GeneratorConfig,
    GeneratorTraining,
    LengthSampling,
    LoRA,
    TokenizerConfig,
    TrainingConfig,
)
from adatok_core.generator.sequences import Vocabulary
from adatok_core.generator.training import GeneratorTrainer
from adatok_core.training import TokenizerTrainer

IMAGES = torch.randint(
    256, (16, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
)
TOKENIZER = TokenizerConfig(
    budgets=(1, 2, 4),
    patch_size=4,
    width=16,
    encoder_depth=2,
    decoder_depth=2,
    attention_heads=2,
    lora=LoRA(rank=2),
)
# Every decoder has another number of images in each step.
SEPARATE = replace(TOKENIZER, decoders="per_budget", lora=LoRA(rank=0))
TRAINING = TrainingConfig(steps=12, batch=4, warmup_steps=1, log_every=1)


# Dynamo looks at gradients that are not there.
pytestmark = pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")


@pytest.fixture(autouse=True)
def traced(monkeypatch):
    """`torch.compile` traces, differentiates and checks, but leaves out the C++ compiler."""
    torch.compiler.reset()
    counters.clear()
    compiler = torch.compile
    monkeypatch.setattr(
        torch, "compile", lambda f, **options: compiler(f, backend="aot_eager", **options)
    )


def tokenizer_trainer(tokenizer, *, compile):
    # Features of the decoder's first block are read by a hook.
    pairs = LengthSampling(decodes="pairs", self_alignment=0.5)
    lengths = LengthSampling() if tokenizer is SEPARATE else pairs
    training = replace(TRAINING, compile=compile, lengths=lengths)
    return TokenizerTrainer(
        tokenizer, training, image_size=8, count=len(IMAGES), load=IMAGES.__getitem__
    )


def generator_trainer(*, compile):
    return GeneratorTrainer(
        GeneratorConfig(lengths="end_token", width=16, depth=2, attention_heads=2),
        GeneratorTraining(steps=12, batch=4, warmup_steps=1, log_every=1, compile=compile),
        vocabulary=Vocabulary(codes=11, budgets=(1, 2, 4), lengths="end_token", classes=3),
        ids=torch.arange(64).view(16, 4) % 11,
        lengths=torch.tensor([1, 2, 4, 4]).repeat(4),
        labels=torch.arange(16) % 3,
    )


def trained(trainer):
    list(trainer.run())
    return trainer


@pytest.mark.parametrize(
    "trainer_of",
    [
        lambda compile: tokenizer_trainer(TOKENIZER, compile=compile),
        lambda compile: tokenizer_trainer(SEPARATE, compile=compile),
        lambda compile: generator_trainer(compile=compile),
    ],
    ids=["heads", "separate", "generator"],
)
def test_compiled_blocks_train_as_others_do(trainer_of):
    plain = trained(trainer_of(compile=False))
    assert counters["stats"]["unique_graphs"] == 0
    compiled = trained(trainer_of(compile=True))
    assert counters["stats"]["unique_graphs"] > 0
    assert not counters["graph_break"]
    for row, expected in zip(compiled.history, plain.history, strict=True):
        assert row == pytest.approx(expected, rel=1e-4)
    assert compiled.state().tensors.keys() == plain.state().tensors.keys()


def test_compilation_without_a_compiler_is_refused(monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(ValueError, match=r"^compile: needs a C\+\+ compiler"):
        tokenizer_trainer(TOKENIZER, compile=True)
