import pytest

from adatok_core.config import VQ, LoRA, TokenizerConfig

OUT_OF_RANGE = [
    (LoRA, {"rank": -1}, "rank"),
    (LoRA, {"alpha": 0.0}, "alpha"),
    (LoRA, {"layers": ("qkv", "out", "qkv")}, "layers"),
    (LoRA, {"layers": ()}, "layers"),
    (TokenizerConfig, {"budgets": ()}, "budgets"),
    (TokenizerConfig, {"budgets": (0, 4)}, "budgets"),
    (TokenizerConfig, {"budgets": (2, 8, 4)}, "budgets"),
    (TokenizerConfig, {"budgets": (2, 4, 4)}, "budgets"),
    (TokenizerConfig, {"patch_size": 0}, "patch_size"),
    (TokenizerConfig, {"width": 0}, "width"),
    (TokenizerConfig, {"encoder_depth": 0}, "encoder_depth"),
    (TokenizerConfig, {"decoder_depth": 0}, "decoder_depth"),
    (TokenizerConfig, {"attention_heads": 0}, "attention_heads"),
    (TokenizerConfig, {"width": 130}, "attention_heads"),
    (TokenizerConfig, {"lora": LoRA(rank=129)}, "lora.rank"),
    (TokenizerConfig, {"decoders": "per_budget"}, "lora.rank"),
    (TokenizerConfig, {"decoders": "per_budget", "lora": LoRA(rank=1)}, "lora.rank"),
    (TokenizerConfig, {"encoding": "grid"}, "budgets"),
    (TokenizerConfig, {"encoding": "recurrent"}, "rollouts"),
    (TokenizerConfig, {"encoding": "recurrent", "rollouts": 0}, "rollouts"),
    (TokenizerConfig, {"encoding": "recurrent", "rollouts": 3}, "rollouts"),
    (TokenizerConfig, {"encoding": "recurrent", "rollouts": 4}, "budgets"),
    (TokenizerConfig, {"rollouts": 8}, "rollouts"),
    (TokenizerConfig, {"encoding": "told", "rollouts": 8}, "rollouts"),
    *(
        (
            TokenizerConfig,
            {"encoding": encoding, "budgets": (16,), "latent_attention": "patches"},
            "latent_attention",
        )
        for encoding in ("grid", "told", "recurrent", "halting")
    ),
]

ON_THE_EDGE = [
    (LoRA, {"rank": 0}),
    (LoRA, {"layers": ("pixels",), "adapters": "shared"}),
    (TokenizerConfig, {"budgets": (1,), "width": 1, "attention_heads": 1, "lora": LoRA(rank=1)}),
    (TokenizerConfig, {"patch_size": 1, "encoder_depth": 1, "decoder_depth": 1}),
    (TokenizerConfig, {"lora": LoRA(rank=128)}),
    (TokenizerConfig, {"decoders": "per_budget", "lora": LoRA(rank=0)}),
    (TokenizerConfig, {"decoders": "shared", "lora": LoRA(rank=0)}),
    (TokenizerConfig, {"encoding": "grid", "budgets": (16,)}),
    (TokenizerConfig, {"encoding": "recurrent", "rollouts": 8}),
    (TokenizerConfig, {"encoding": "recurrent", "rollouts": 1, "budgets": (3,)}),
]


@pytest.mark.parametrize(("kind", "values", "key"), OUT_OF_RANGE)
def test_a_value_out_of_range_is_refused_by_its_key(refused, kind, values, key):
    refused(kind, values, key)


@pytest.mark.parametrize(("kind", "values"), ON_THE_EDGE)
def test_the_ends_of_a_range_are_accepted(accepted, kind, values):
    accepted(kind, values)


@pytest.mark.parametrize("kind", [LoRA, TokenizerConfig])
def test_defaults_are_valid_frozen_and_strict(frozen_and_strict, kind):
    frozen_and_strict(kind())


def test_all_of_the_decoder_s_layers_have_adapters_unless_told():
    assert set(LoRA().layers) == {"embed", "qkv", "out", "expand", "contract", "pixels"}


@pytest.mark.parametrize("field", ["quantizer", "lora"])
def test_configurations_of_one_tokenizer_compare_by_value(field):
    assert getattr(TokenizerConfig(), field) == getattr(TokenizerConfig(), field)
    assert TokenizerConfig() != TokenizerConfig(quantizer=VQ())


def test_max_tokens_is_the_largest_budget():
    assert TokenizerConfig(budgets=(3, 7)).max_tokens == 7
