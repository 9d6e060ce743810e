import pytest
import torch
from torch import nn
from torch.nn import functional as F

from adatok_core.lora import MultiHeadLinear, plain
from adatok_core.transformer import Attention, Block, Transformer


def transformer_of(*, depth=2, seed=0):
    torch.manual_seed(seed)
    return Transformer(depth, 16, 4, plain)


@pytest.mark.parametrize("attention_heads", [1, 4])
def test_attention_equals_the_formula(attention_heads):
    torch.manual_seed(0)
    attention = Attention(16, attention_heads, plain)
    x = torch.randn(2, 5, 16)
    mask = torch.rand(2, attention_heads, 5, 5) > 0.4
    mask[..., 0] = True
    q, k, v = F.linear(x, attention.qkv.weight, attention.qkv.bias).chunk(3, dim=-1)
    size = 16 // attention_heads
    parts = []
    for head in range(attention_heads):
        part = slice(head * size, (head + 1) * size)
        scores = q[..., part] @ k[..., part].transpose(1, 2) / size**0.5
        scores = scores.masked_fill(~mask[:, head], -torch.inf)
        parts.append(scores.softmax(-1) @ v[..., part])
    expected = attention.out(torch.cat(parts, -1))
    torch.testing.assert_close(attention(x, None, mask), expected)


def test_hidden_positions_do_not_influence_the_others():
    model = transformer_of()
    x = torch.randn(2, 6, 16)
    other = x.clone()
    other[:, 4:] = torch.randn(2, 2, 16) * 100
    visible = torch.arange(6).expand(2, 1, 1, -1) < 4
    y = model(x, None, visible)
    assert torch.equal(model(other, None, visible)[:, :4], y[:, :4])
    torch.testing.assert_close(model(x[:, :4]), y[:, :4])
    assert not torch.allclose(model(other)[:, :4], y[:, :4], atol=1e-2)


def test_an_all_visible_mask_changes_nothing():
    model = transformer_of()
    x = torch.randn(2, 6, 16)
    for shape in ((6, 6), (2, 1, 1, 6), (2, 4, 6, 6)):
        everything = torch.ones(shape, dtype=torch.bool)
        torch.testing.assert_close(model(x, None, everything), model(x))


def test_a_mask_by_query_reaches_every_block():
    model = transformer_of(depth=2)
    x = torch.randn(2, 6, 16)
    other = x.clone()
    other[:, 3] += 1
    alone = torch.eye(6, dtype=torch.bool)
    moved = (model(other, mask=alone) != model(x, mask=alone)).any(-1).any(0)
    assert moved.nonzero().flatten().tolist() == [3]


def test_positions_are_told_apart_by_their_content_alone():
    model = transformer_of()
    x = torch.randn(2, 6, 16)
    order = torch.tensor([3, 1, 5, 0, 2, 4])
    torch.testing.assert_close(model(x[:, order]), model(x)[:, order])


def test_a_block_adds_two_pre_norm_branches():
    torch.manual_seed(0)
    block = Block(16, 4, plain)
    x = torch.randn(2, 6, 16)
    middle = x + block.attention(block.norm_attention(x), None, None)
    hidden = block.expand(block.norm_mlp(middle))
    assert hidden.shape == (2, 6, 64)
    torch.testing.assert_close(block(x, None, None), middle + block.contract(F.gelu(hidden)))


def test_blocks_are_stacked_and_normalised():
    model = transformer_of(depth=3)
    x = torch.randn(2, 6, 16)
    y = x
    for block in model.blocks:
        y = block(y, None, None)
    assert len(model.blocks) == 3
    torch.testing.assert_close(model(x), model.norm(y))


def test_every_linear_layer_comes_from_the_factory():
    made = []

    def linear(name, inner, outer):
        made.append((name, inner, outer))
        return MultiHeadLinear(inner, outer)

    model = Transformer(2, 16, 4, linear)
    block = [("qkv", 16, 48), ("out", 16, 16), ("expand", 16, 64), ("contract", 64, 16)]
    assert sorted(made) == sorted(2 * block)
    assert sum(isinstance(module, nn.Linear) for module in model.modules()) == len(made)
