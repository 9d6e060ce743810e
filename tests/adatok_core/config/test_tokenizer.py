import pytest

from adatok_core.config import VQ, LoRA, TokenizerConfig


def test_all_of_the_decoder_s_layers_have_adapters_unless_told():
    assert set(LoRA().layers) == {"embed", "qkv", "out", "expand", "contract", "pixels"}


@pytest.mark.parametrize("field", ["quantizer", "lora"])
def test_configurations_of_one_tokenizer_compare_by_value(field):
    assert getattr(TokenizerConfig(), field) == getattr(TokenizerConfig(), field)
    assert TokenizerConfig() != TokenizerConfig(quantizer=VQ())


def test_max_tokens_is_the_largest_budget():
    assert TokenizerConfig(budgets=(3, 7)).max_tokens == 7
