import pytest
import torch
from torch import nn

from adatok_core.build import build_tokenizer
from adatok_core.config import LoRA, TokenizerConfig
from adatok_core.lora import is_adapter


@pytest.fixture(scope="session")
def tokenizer_of():
    """`tokenizer_of(**options)`: a small one for budgets 2, 4, 7 whose heads differ, as trained."""

    def tokenizer_of(*, image_size=16, seed=0, **options):
        torch.manual_seed(seed)
        config = TokenizerConfig(
            **{
                "budgets": (2, 4, 7),
                "patch_size": 4,
                "width": 16,
                "encoder_depth": 1,
                "decoder_depth": 2,
                "attention_heads": 2,
                "lora": LoRA(rank=0 if options.get("decoders") == "per_budget" else 2, alpha=2.0),
                **options,
            }
        )
        model = build_tokenizer(config, image_size=image_size).eval()
        for name, parameter in model.named_parameters():
            if is_adapter(name) and name.endswith("up"):
                nn.init.normal_(parameter, std=0.2)
        return model

    return tokenizer_of


@pytest.fixture
def images():
    """Six images of 16 px."""
    return torch.rand(6, 3, 16, 16, generator=torch.Generator().manual_seed(0))
