import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from adatok_core.config import LoRA
from adatok_core.lora import HeadGroups, MultiHeadLinear, adapted, is_adapter, merge_head, plain

deterministic = settings(deadline=None, derandomize=True, max_examples=40)
HEADS = 3
ALL_LAYERS = LoRA().layers


def layer_of(inner=8, outer=12, *, sets=HEADS, rank=2, alpha=3.0, seed=0):
    """A layer whose adapters look trained: `up` is not zero."""
    torch.manual_seed(seed)
    layer = MultiHeadLinear(inner, outer, sets=sets, rank=rank, alpha=alpha)
    if layer.rank:
        nn.init.normal_(layer.up)
    return layer


def grouped(layer, x, heads):
    groups = HeadGroups.of(heads, count=HEADS)
    return layer(x[groups.order], groups)[groups.inverse]


def merged(layer, head):
    layer = copy.deepcopy(layer)
    layer.merge(head)
    return layer


def image_by_image(layer, x, heads, *, scale):
    """`W x + scale B_m A_m x + c`, one image after the other."""
    outputs = []
    for image, m in zip(x, heads.tolist(), strict=True):
        m = m if len(layer.up) > 1 else 0
        low_rank = image @ layer.down[m].T @ layer.up[m].T
        outputs.append(image @ layer.weight.T + scale * low_rank + layer.bias)
    return torch.stack(outputs)


@deterministic
@given(
    heads=st.lists(st.integers(0, HEADS - 1), min_size=1, max_size=7),
    inner=st.integers(1, 17),
    outer=st.integers(1, 17),
    rank=st.integers(1, 4),
    length=st.integers(1, 5),
    sets=st.sampled_from([1, HEADS]),
)
def test_a_mixed_batch_equals_the_formula_image_by_image(heads, inner, outer, rank, length, sets):
    heads = torch.tensor(heads)
    layer = layer_of(inner, outer, rank=rank, sets=sets)
    x = torch.randn(len(heads), length, inner)
    expected = image_by_image(layer, x, heads, scale=3 / rank)
    torch.testing.assert_close(grouped(layer, x, heads), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("inner", "outer"), [(8, 16), (3, 6), (4, 27), (12, 9)])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("sets", [1, HEADS])
def test_gradients_of_any_width_equal_those_of_the_formula(inner, outer, precision, sets):
    heads = torch.tensor([2, 0, 2, 1])
    layer = layer_of(inner, outer, sets=sets)
    x = torch.randn(len(heads), 5, inner)
    weights = torch.randn(len(heads), 5, outer)
    parameters = list(layer.parameters())
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
        y = grouped(layer, x, heads)
    assert y.dtype == (torch.bfloat16 if precision == "bf16" else torch.float32)
    actual = torch.autograd.grad((y.float() * weights).sum(), parameters)
    formula = (image_by_image(layer, x, heads, scale=1.5) * weights).sum()
    for a, b in zip(actual, torch.autograd.grad(formula, parameters), strict=True):
        tolerance = 0.03 if precision == "bf16" else 1e-5
        assert (a - b).norm() <= tolerance * b.norm()


def small_adapters(sets):
    """A layer with weights that bf16 holds exactly, and changes of each below 0.1 %."""
    layer = layer_of(16, 24, sets=sets, rank=2, alpha=2.0)
    with torch.no_grad():
        layer.weight.copy_(layer.weight.sign() * (0.5 + layer.weight.abs()))
        layer.weight.copy_(layer.weight.bfloat16())
        change = layer.up @ layer.down
        layer.up *= 9e-4 * (layer.weight.abs() / change.abs()).amin()
        change = layer.up @ layer.down
    assert 0 < (change / layer.weight).abs().max() < 1e-3
    # The fault to avoid: in bf16 the changed weights are the old ones.
    assert torch.equal(
        (layer.weight + change).bfloat16(), layer.weight.expand_as(change).bfloat16()
    )
    return layer, change


@pytest.mark.parametrize("sets", [1, HEADS])
def test_under_autocast_a_change_below_a_thousandth_of_a_weight_acts(sets):
    layer, change = small_adapters(sets)
    x = torch.randn(HEADS, 8192, 16).bfloat16().float()
    heads = torch.arange(HEADS)
    without = copy.deepcopy(layer)
    with torch.no_grad():
        without.up.zero_()
        with torch.autocast("cpu", torch.bfloat16):
            moved = grouped(layer, x, heads).float() - grouped(without, x, heads).float()
    # One output is rounded more coarsely than it moves; over many they tell what the weights did.
    for m in range(HEADS):
        recovered = torch.linalg.lstsq(x[m], moved[m]).solution.T
        expected = change[m if sets > 1 else 0]
        assert (recovered * expected).sum() / expected.square().sum() == pytest.approx(1, abs=0.25)
        assert F.cosine_similarity(recovered.flatten(), expected.flatten(), dim=0) > 0.5


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
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_gradient_reaches_exactly_the_heads_in_the_batch(used, precision):
    layer = layer_of()
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
        y = grouped(layer, torch.randn(len(used), 4, 8), torch.tensor(used))
    y.float().square().sum().backward()
    for parameter in (layer.up, layer.down):
        reached = parameter.grad.abs().sum((1, 2)) > 0
        assert reached.nonzero().flatten().tolist() == sorted(set(used))
        assert parameter.grad.isfinite().all()
    assert layer.weight.grad.abs().sum() > 0
    assert layer.bias.grad.abs().sum() > 0


def test_a_shared_set_needs_no_heads():
    layer = layer_of(sets=1)
    x = torch.randn(2, 4, 8)
    expected = image_by_image(layer, x, torch.tensor([0, 0]), scale=1.5)
    torch.testing.assert_close(layer(x), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("sets", [1, HEADS])
def test_fresh_adapters_change_nothing(sets):
    torch.manual_seed(0)
    layer = MultiHeadLinear(8, 12, sets=sets, rank=2, alpha=3.0)
    x = torch.randn(2, 4, 8)
    expected = F.linear(x, layer.weight, layer.bias)
    torch.testing.assert_close(grouped(layer, x, torch.tensor([2, 1])), expected)


@pytest.mark.parametrize("head", range(HEADS))
@pytest.mark.parametrize("sets", [0, 1, HEADS])
def test_a_merged_layer_is_plain_and_equals_its_head(head, sets):
    layer = layer_of(sets=sets)
    x = torch.randn(2, 4, 8)
    expected = grouped(layer, x, torch.full((2,), head))
    state = torch.get_rng_state()
    actual = merged(layer, head)
    assert torch.equal(torch.get_rng_state(), state)
    assert actual.state_dict().keys() == nn.Linear(8, 12).state_dict().keys()
    torch.testing.assert_close(actual(x), expected, atol=1e-5, rtol=0)
    if sets == HEADS:
        other = merged(layer, (head + 1) % HEADS)
        assert not torch.allclose(actual(x), other(x), atol=1e-2)


def test_merging_keeps_the_type_and_twice_is_once():
    layer = merged(layer_of().bfloat16(), 1)
    assert layer.weight.dtype == torch.bfloat16
    assert torch.equal(merged(layer, 2).weight, layer.weight)


def test_alpha_over_rank_scales_the_adapters():
    x = torch.randn(2, 4, 8)
    heads = torch.tensor([0, 1])
    shared = F.linear(x, layer_of().weight, layer_of().bias)
    one, three = (grouped(layer_of(alpha=a), x, heads) - shared for a in (1.0, 3.0))
    torch.testing.assert_close(three, 3 * one, atol=1e-5, rtol=1e-4)


def test_a_rank_is_cut_to_the_smaller_side_and_the_scale_is_not():
    layer = layer_of(3, 12, rank=6, alpha=3.0)
    assert layer.down.shape == (HEADS, 3, 3)
    assert layer.up.shape == (HEADS, 12, 3)
    assert layer_of(12, 5, rank=6).up.shape == (HEADS, 5, 5)
    x, heads = torch.randn(2, 4, 3), torch.tensor([2, 0])
    expected = image_by_image(layer, x, heads, scale=3 / 6)
    torch.testing.assert_close(grouped(layer, x, heads), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("none", [{"rank": 0}, {"sets": 0}])
def test_without_adapters_it_is_a_plain_linear_layer(none):
    torch.manual_seed(0)
    expected = nn.Linear(8, 12)
    layer = layer_of(**none)
    x = torch.randn(2, 4, 8)
    assert layer.state_dict().keys() == expected.state_dict().keys()
    assert torch.equal(layer(x), expected(x))


def test_heads_must_be_known():
    with pytest.raises(ValueError, match="heads"):
        layer_of()(torch.randn(2, 4, 8))


@pytest.mark.parametrize(
    ("adapters", "sets", "rank"),
    [("per_budget", HEADS, 4), ("shared", 1, 4), ("shared_same_parameters", 1, 12)],
)
def test_adapters_are_made_as_configured(adapters, sets, rank):
    linear = adapted(LoRA(rank=4, alpha=8.0, adapters=adapters), budgets=HEADS)
    layer = linear("qkv", 32, 24)
    assert layer.down.shape == (sets, rank, 32)
    assert layer.up.shape == (sets, 24, rank)
    assert layer.scale == 8 / rank
    assert linear("embed", 5, 24).down.shape == (sets, min(rank, 5), 5)


def test_the_control_of_the_same_parameters_has_as_many():
    counts = [
        sum(
            p.numel()
            for p in adapted(LoRA(rank=4, adapters=a), budgets=3)("qkv", 32, 24).parameters()
        )
        for a in ("per_budget", "shared_same_parameters", "shared")
    ]
    assert counts[0] == counts[1] > counts[2]


@pytest.mark.parametrize("layer", ALL_LAYERS)
def test_only_the_named_layers_are_adapted(layer):
    linear = adapted(LoRA(rank=2, layers=(layer,)), budgets=HEADS)
    assert [name for name in ALL_LAYERS if linear(name, 8, 12).rank] == [layer]


def test_adapters_are_told_by_their_names():
    module = nn.Sequential(nn.Sequential(layer_of()), nn.LayerNorm(8), plain("qkv", 8, 8))
    adapters = {name for name in module.state_dict() if is_adapter(name)}
    assert adapters == {"0.0.down", "0.0.up"}
    assert is_adapter("up")
    assert not is_adapter("upsample.weight")
    assert not is_adapter("down.weight")


@pytest.mark.parametrize("sets", [1, HEADS])
def test_merge_head_reaches_nested_layers_in_place(sets):
    module = nn.Sequential(
        nn.Sequential(layer_of(seed=1, sets=sets)), nn.ReLU(), layer_of(12, 8, seed=2, sets=sets)
    )
    first, last = module[0][0], module[2]
    x = torch.randn(2, 4, 8)
    heads = torch.tensor([1, 1])
    expected = grouped(last, grouped(first, x, heads).relu(), heads)
    merge_head(module, 1)
    assert not any(is_adapter(name) for name in module.state_dict())
    torch.testing.assert_close(module(x), expected, atol=1e-4, rtol=1e-5)
