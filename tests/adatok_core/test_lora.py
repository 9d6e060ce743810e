import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from adatok_core.config import LoRA, TokenizerConfig
from adatok_core.lora import HeadGroups, MultiHeadLinear, merge_head
from adatok_core.tokenizer import ElasticTokenizer

deterministic = settings(deadline=None, derandomize=True, max_examples=40)
HEADS = 3


def layer_of(inner=8, outer=12, *, rank=2, alpha=3.0, seed=0):
    """A layer whose adapters look trained: `up` is not zero."""
    torch.manual_seed(seed)
    layer = MultiHeadLinear(inner, outer, heads=HEADS, rank=rank, alpha=alpha)
    if rank:
        nn.init.normal_(layer.up)
    return layer


def grouped(layer, x, heads):
    groups = HeadGroups.of(heads, count=HEADS)
    return layer(x[groups.order], groups)[groups.inverse]


def image_by_image(layer, x, heads, *, alpha=3.0):
    """`W x + alpha / r B_m A_m x + c`, one image after the other."""
    outputs = []
    for image, m in zip(x, heads.tolist(), strict=True):
        low_rank = image @ layer.down[m].T @ layer.up[m].T
        outputs.append(image @ layer.weight.T + alpha / layer.down.shape[1] * low_rank + layer.bias)
    return torch.stack(outputs)


@deterministic
@given(
    heads=st.lists(st.integers(0, HEADS - 1), min_size=1, max_size=7),
    inner=st.integers(1, 17),
    outer=st.integers(1, 17),
    rank=st.integers(1, 4),
    length=st.integers(1, 5),
)
def test_a_mixed_batch_equals_the_formula_image_by_image(heads, inner, outer, rank, length):
    heads = torch.tensor(heads)
    layer = layer_of(inner, outer, rank=rank)
    x = torch.randn(len(heads), length, inner)
    torch.testing.assert_close(
        grouped(layer, x, heads), image_by_image(layer, x, heads), atol=1e-5, rtol=1e-5
    )


@pytest.mark.parametrize(("inner", "outer"), [(8, 16), (3, 6), (4, 27), (12, 9)])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_gradients_of_any_width_equal_those_of_the_formula(inner, outer, precision):
    heads = torch.tensor([2, 0, 2, 1])
    layer = layer_of(inner, outer)
    x = torch.randn(len(heads), 5, inner)
    weights = torch.randn(len(heads), 5, outer)
    parameters = list(layer.parameters())
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
        y = grouped(layer, x, heads)
    assert y.dtype == (torch.bfloat16 if precision == "bf16" else torch.float32)
    actual = torch.autograd.grad((y.float() * weights).sum(), parameters)
    plain = (image_by_image(layer, x, heads) * weights).sum()
    for a, b in zip(actual, torch.autograd.grad(plain, parameters), strict=True):
        tolerance = 0.03 if precision == "bf16" else 1e-5
        assert (a - b).norm() <= tolerance * b.norm()


def test_the_order_of_the_heads_in_the_batch_does_not_matter():
    layer = layer_of()
    heads = torch.tensor([2, 0, 1, 0, 2, 2])
    x = torch.randn(6, 4, 8)
    shuffle = torch.tensor([3, 5, 0, 4, 1, 2])
    torch.testing.assert_close(
        grouped(layer, x[shuffle], heads[shuffle]), grouped(layer, x, heads)[shuffle]
    )


def test_groups_sort_stably_count_absent_heads_and_invert():
    heads = torch.tensor([2, 0, 2, 0])
    groups = HeadGroups.of(heads, count=4)
    assert groups.order.tolist() == [1, 3, 0, 2]
    assert groups.ends.tolist() == [2, 2, 4, 4]
    assert heads[groups.order][groups.inverse].tolist() == heads.tolist()


@pytest.mark.parametrize("used", [[0], [1, 1], [0, 2], [2, 1, 0]])
def test_gradient_reaches_exactly_the_heads_in_the_batch(used):
    layer = layer_of()
    grouped(layer, torch.randn(len(used), 4, 8), torch.tensor(used)).square().sum().backward()
    for parameter in (layer.up, layer.down):
        reached = parameter.grad.abs().sum((1, 2)) > 0
        assert reached.nonzero().flatten().tolist() == sorted(set(used))
        assert parameter.grad.isfinite().all()
    assert layer.weight.grad.abs().sum() > 0
    assert layer.bias.grad.abs().sum() > 0


def test_fresh_adapters_change_nothing():
    torch.manual_seed(0)
    layer = MultiHeadLinear(8, 12, heads=HEADS, rank=2, alpha=3.0)
    x = torch.randn(2, 4, 8)
    expected = F.linear(x, layer.weight, layer.bias)
    torch.testing.assert_close(grouped(layer, x, torch.tensor([2, 1])), expected)


@pytest.mark.parametrize("head", range(HEADS))
def test_merged_layer_equals_its_head(head):
    layer = layer_of()
    x = torch.randn(2, 4, 8)
    merged = layer.merged(head)
    assert not merged.rank
    assert sum(p.numel() for p in merged.parameters()) == 12 * 8 + 12
    expected = grouped(layer, x, torch.full((2,), head))
    torch.testing.assert_close(merged(x), expected, atol=1e-5, rtol=0)
    assert not torch.allclose(merged(x), layer.merged((head + 1) % HEADS)(x), atol=1e-2)


def test_merging_leaves_the_layer_alone_and_keeps_its_type():
    layer = layer_of()
    before = {name: value.clone() for name, value in layer.state_dict().items()}
    layer.merged(1).weight.data.zero_()
    assert all(torch.equal(before[name], value) for name, value in layer.state_dict().items())
    assert layer.bfloat16().merged(1).weight.dtype == torch.bfloat16


def test_alpha_scales_the_adapters():
    x = torch.randn(2, 4, 8)
    heads = torch.tensor([0, 1])
    shared = F.linear(x, layer_of().weight, layer_of().bias)
    one, three = (grouped(layer_of(alpha=a), x, heads) - shared for a in (1.0, 3.0))
    torch.testing.assert_close(three, 3 * one, atol=1e-5, rtol=1e-4)


def test_rank_zero_is_a_plain_linear_layer():
    torch.manual_seed(0)
    plain = nn.Linear(8, 12)
    torch.manual_seed(0)
    layer = MultiHeadLinear(8, 12, heads=HEADS, rank=0)
    x = torch.randn(2, 4, 8)
    assert layer.state_dict().keys() == plain.state_dict().keys()
    assert torch.equal(layer(x), plain(x))
    assert torch.equal(layer.merged(1)(x), plain(x))


def test_heads_must_be_known():
    with pytest.raises(ValueError, match="heads"):
        layer_of()(torch.randn(2, 4, 8))


@pytest.mark.parametrize("rank", [0, 3])
def test_merged_decoder_equals_the_unmerged_one_at_every_budget(rank):
    torch.manual_seed(0)
    config = TokenizerConfig(
        budgets=(2, 3, 6),
        patch_size=4,
        width=16,
        encoder_depth=1,
        decoder_depth=2,
        attention_heads=2,
        lora=LoRA(rank=rank, alpha=2.0),
    )
    model = ElasticTokenizer(config, image_size=8).eval()
    for name, parameter in model.decoder.named_parameters():
        if name.endswith(".up"):
            nn.init.normal_(parameter, std=0.2)
    codes = torch.rand(3, 6, 4) * 2 - 1
    outputs = []
    for k in range(1, 7):
        outputs.append(model.decode_codes(codes, torch.full((3,), k)))
        merged = model.merged_decoder(k)
        assert not any(".up" in name for name, _ in merged.named_parameters())
        torch.testing.assert_close(merged(codes[:, :k]), outputs[-1], atol=1e-5, rtol=0)
    assert (outputs[0] - outputs[5]).abs().max() > 1e-2
    if rank:
        assert any(".up" in name for name, _ in model.decoder.named_parameters())


def test_merge_head_reaches_nested_layers_in_place():
    module = nn.Sequential(nn.Sequential(layer_of(seed=1)), nn.ReLU(), layer_of(12, 8, seed=2))
    first, last = module[0][0], module[2]
    x = torch.randn(2, 4, 8)
    heads = torch.tensor([1, 1])
    expected = grouped(last, grouped(first, x, heads).relu(), heads)
    merge_head(module, 1)
    assert [type(m) for m in module] == [nn.Sequential, nn.ReLU, MultiHeadLinear]
    torch.testing.assert_close(module(x), expected, atol=1e-4, rtol=1e-5)
