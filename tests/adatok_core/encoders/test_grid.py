import pytest
import torch

from adatok_core.config import LoRA
from adatok_core.tokenizer import parameter_count

PLAIN = LoRA(rank=0)


@pytest.fixture
def model(tokenizer_of):
    return tokenizer_of(encoding="grid", budgets=(16,), lora=PLAIN)


def test_a_token_is_a_patch_rows_first(model, images):
    with torch.no_grad():
        model.encoder.transformer.blocks[0].attention.out.weight.zero_()  # patches see themselves
    before = model.encode(images)[1]
    for row, column in ((0, 3), (2, 1)):
        changed = images.clone()
        changed[:, :, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4] += 0.5
        moved = (model.encode(changed)[1] != before).any(-1).any(0)
        assert moved.nonzero().flatten().tolist() == [4 * row + column]


def test_the_other_patches_are_seen(model, images):
    changed = images.clone()
    changed[:, :, 0, 0] += 0.5
    assert ((model.encode(changed)[1] - model.encode(images)[1]).abs() > 1e-6).any(-1).all()


def test_it_is_as_large_as_queries_of_the_same_number_but_for_them(model, tokenizer_of):
    queries = tokenizer_of(budgets=(16,), lora=PLAIN)
    assert parameter_count(model) == parameter_count(queries) - 16 * 16
    # At the width and depth of the defaults, under one in a hundred.
    shape = {"budgets": (16,), "lora": PLAIN, "width": 128, "attention_heads": 4}
    deep = {"encoder_depth": 4, "decoder_depth": 4, **shape}
    grid, queries = tokenizer_of(encoding="grid", **deep), tokenizer_of(**deep)
    assert 0.99 < parameter_count(grid) / parameter_count(queries) < 1


def test_as_many_tokens_as_patches_or_none(tokenizer_of):
    with pytest.raises(ValueError, match=r"budgets: the grid encoding has .* 16 at 16 px"):
        tokenizer_of(encoding="grid", budgets=(8,))
