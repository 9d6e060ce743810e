import math

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch.distributions import Bernoulli

from adatok_core import config

WIDTH, TOKENS = 8, 10
deterministic = settings(
    deadline=None,
    derandomize=True,
    max_examples=25,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
WEIGHTS = {"commitment": 0.5, "entropy_weight": 0.2, "diversity": 0.7, "temperature": 1.5}


def loss_of(bare, points, **options):
    return bare(config.LFQ(bits=3, **{**WEIGHTS, **options}), dimension=3)(points).loss


def test_the_id_is_the_binary_number_of_the_signs(bare):
    quantizer = bare(config.LFQ(bits=3), dimension=3, tokens=8)
    signs = torch.tensor([[2.0 * (i >> bit & 1) - 1 for bit in range(3)] for i in range(8)])
    out = quantizer(0.3 * signs[None])
    assert out.ids.tolist() == [list(range(8))]
    assert torch.equal(out.codes[0], signs)
    assert torch.equal(quantizer.decode(out.ids)[0], signs)
    assert torch.equal(quantizer(quantizer.decode(out.ids)).ids, out.ids)


def test_codes_have_unit_rms(quantizer_of):
    codes = quantizer_of(config.LFQ(bits=7))(torch.randn(4, TOKENS, WIDTH)).codes
    assert codes.square().mean() == 1


def test_zero_counts_as_positive(bare):
    out = bare(config.LFQ(bits=3), dimension=3, tokens=2)(torch.tensor([[[0.0] * 3, [-0.0] * 3]]))
    assert (out.codes == 1).all()
    assert out.ids.tolist() == [[7, 7]]


@pytest.mark.parametrize("bits", [1, 12, 31, 33, 48])
def test_bits_do_not_overflow(bits, bare):
    quantizer = bare(config.LFQ(bits=bits), dimension=bits, tokens=3)
    points = torch.stack([torch.ones(bits), -torch.ones(bits), -torch.ones(bits)])
    points[2, -1] = 1.0
    out = quantizer(points[None])
    assert out.ids.tolist() == [[2**bits - 1, 0, 2 ** (bits - 1)]]
    assert torch.equal(quantizer.decode(out.ids), out.codes)
    assert quantizer.codebook_size == 2**bits
    assert torch.equal(quantizer.parts(out.ids)[..., 0], out.ids)


@deterministic
@given(
    st.integers(0, 99), st.floats(0.1, 5), *(st.floats(0, 2) for _ in range(3)), st.floats(0.2, 5)
)
def test_the_loss_is_commitment_and_entropy(
    bare, seed, scale, commitment, entropy_weight, diversity, temperature
):
    points = scale * torch.randn(4, TOKENS, 3, generator=torch.Generator().manual_seed(seed))
    actual = loss_of(
        bare,
        points,
        commitment=commitment,
        entropy_weight=entropy_weight,
        diversity=diversity,
        temperature=temperature,
    )
    bits = Bernoulli(logits=2 * points.double() / temperature)
    per_token = bits.entropy().sum(-1).mean()
    of_batch = Bernoulli(probs=bits.probs.mean((0, 1))).entropy().sum()
    expected = commitment * (points.abs() - 1).square().double().mean()
    expected = expected + entropy_weight * (per_token - diversity * of_batch)
    torch.testing.assert_close(actual.double(), expected, atol=2e-4, rtol=1e-4)


def test_known_losses(bare):
    zeros = torch.zeros(2, TOKENS, 3)
    certain = 50 * torch.where(torch.arange(TOKENS)[:, None] % 2 == 0, 1.0, -1.0).expand(2, -1, 3)
    uncertain_tokens = 0.5 + 0.2 * (1 - 0.7) * 3 * math.log(2)
    assert loss_of(bare, zeros).item() == pytest.approx(uncertain_tokens)
    # Each token's bits are certain, those of the batch are even.
    only_entropy = loss_of(bare, certain, commitment=0.0).item()
    assert only_entropy == pytest.approx(-0.2 * 0.7 * 3 * math.log(2), abs=1e-4)
    assert loss_of(bare, torch.sign(certain), entropy_weight=0.0) == 0


def test_commitment_pulls_points_to_their_signs(bare):
    points = torch.randn(2, TOKENS, 3, requires_grad=True)
    loss_of(bare, points, entropy_weight=0.0, commitment=2.0).backward()
    expected = 2.0 * 2 * (points - points.sign()).detach() / points.numel()
    torch.testing.assert_close(points.grad, expected)


@pytest.mark.parametrize(
    "option",
    [{"commitment": 1.0}, {"entropy_weight": 0.5}, {"diversity": 0.1}, {"temperature": 0.5}],
)
def test_every_weight_changes_the_gradient(option, bare):
    points = 0.5 + torch.randn(2, TOKENS, 3, generator=torch.Generator().manual_seed(0))
    grads = []
    for options in ({}, option):
        leaf = points.clone().requires_grad_()
        loss_of(bare, leaf, **options).backward()
        grads.append(leaf.grad)
    assert (grads[0] - grads[1]).abs().max() > 1e-4


def test_certain_bits_have_a_finite_gradient(bare):
    points = (1e4 * torch.ones(2, TOKENS, 3)).requires_grad_()
    loss = loss_of(bare, points)
    loss.backward()
    assert loss.isfinite()
    assert points.grad.isfinite().all()


def test_diversity_spreads_tokens_over_the_codes(bare):
    """Points on one side of every sign are pushed to both sides, unless diversity is off."""

    def codes_in_use(diversity):
        quantizer = bare(
            config.LFQ(bits=3, commitment=0.1, entropy_weight=1.0, diversity=diversity), dimension=3
        )
        generator = torch.Generator().manual_seed(0)
        latents = 0.8 + 0.3 * torch.randn(16, TOKENS, 3, generator=generator)
        optimizer = torch.optim.Adam(quantizer.parameters(), lr=0.1)
        for _ in range(30):
            optimizer.zero_grad()
            quantizer(latents).loss.backward()
            optimizer.step()
        return len(quantizer(latents).ids.unique())

    assert codes_in_use(0.0) <= 2
    assert codes_in_use(2.0) >= 6
