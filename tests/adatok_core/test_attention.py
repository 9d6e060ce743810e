import pytest
import torch
from torch.nn import functional as F

from adatok_core.attention import attend


@pytest.mark.parametrize("masked", [False, True])
def test_bf16_on_a_cpu_is_as_near_to_fp32_as_torchs_kernel(masked):
    torch.manual_seed(0)
    exact = [torch.randn(2, 4, 48, 16, requires_grad=True) for _ in range(3)]
    mask = torch.rand(2, 1, 48, 48) > 0.5 if masked else None
    if masked:
        mask[..., 0] = True
    weights = torch.randn(2, 4, 48, 16)

    def values(function, given):
        y = function(*given)
        return [y, *torch.autograd.grad((y * weights.to(y.dtype)).sum(), given)]

    def kernel(q, k, v):
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)

    expected = values(kernel, exact)
    low = [one.detach().bfloat16().requires_grad_() for one in exact]
    with torch.autocast("cpu", torch.bfloat16):
        ours = values(lambda q, k, v: attend(q, k, v, mask), low)
    for found, theirs, right in zip(ours, values(kernel, low), expected, strict=True):
        assert found.dtype == torch.bfloat16
        off, usual = ((one.float() - right).square().mean().sqrt() for one in (found, theirs))
        assert off < 1.5 * usual


def test_in_fp32_it_is_torchs_kernel_to_the_bit():
    q, k, v = torch.randn(3, 1, 2, 5, 8).unbind()
    mask = torch.eye(5, dtype=torch.bool)
    assert torch.equal(attend(q, k, v, mask), F.scaled_dot_product_attention(q, k, v, mask))
