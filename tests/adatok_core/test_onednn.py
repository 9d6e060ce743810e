import pytest
import torch
from torch.nn import functional as F

from adatok_core.onednn import LARGE_WEIGHT, can_pack, linear

packs = pytest.mark.skipif(not can_pack("fp32"), reason="torch without oneDNN")
LARGE, SMALL = (260, 256), (256, 256)


def factors(*, outer, inner, shape=(2, 3)):
    torch.manual_seed(0)
    x, weight, bias = torch.randn(*shape, inner), torch.randn(outer, inner), torch.randn(outer)
    return [factor.requires_grad_() for factor in (x, weight, bias)]


def gradients(product, x, weight, bias):
    factors = [x, weight] if bias is None else [x, weight, bias]
    return torch.autograd.grad(product(x, weight, bias).square().sum(), factors)


def by_onednn(*factors):
    return "_Linear" in type(linear(*factors).grad_fn).__name__


@packs
@pytest.mark.parametrize("shape", [(), (1,), (2, 3)])
@pytest.mark.parametrize("with_bias", [True, False])
def test_values_and_gradients_are_those_of_torch(shape, with_bias):
    x, weight, bias = factors(outer=LARGE[0], inner=LARGE[1], shape=shape)
    bias = bias if with_bias else None
    assert by_onednn(x, weight, bias)
    expected = F.linear(x, weight, bias)
    torch.testing.assert_close(linear(x, weight, bias), expected, rtol=1e-5, atol=1e-4)
    found, expected = (gradients(product, x, weight, bias) for product in (linear, F.linear))
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-3)


@packs
def test_gradients_without_strides_and_inputs_without_gradients():
    x, weight, bias = factors(outer=LARGE[0], inner=LARGE[1])
    linear(x.detach(), weight, bias).sum().backward()
    expected = x.sum((0, 1)).expand_as(weight)
    torch.testing.assert_close(weight.grad, expected)
    torch.testing.assert_close(bias.grad, torch.full_like(bias, 6.0))
    assert x.grad is None


@packs
def test_small_weights_are_torchs():
    x, weight, bias = factors(outer=SMALL[0], inner=SMALL[1])
    assert weight.numel() == LARGE_WEIGHT
    assert not by_onednn(x, weight, bias)
    assert torch.equal(linear(x, weight, bias), F.linear(x, weight, bias))


@packs
def test_autocast_and_a_torch_without_onednn_have_torchs_own(monkeypatch):
    x, weight, bias = factors(outer=LARGE[0], inner=LARGE[1])
    with torch.autocast("cpu", torch.bfloat16):
        assert linear(x, weight, bias).dtype == torch.bfloat16
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    assert not by_onednn(x, weight, bias)
