import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from adatok_core import config
from adatok_core.quantizers import FSQ, VQ, build_quantizer

deterministic = settings(deadline=None, derandomize=True, max_examples=25)
WIDTH, TOKENS = 8, 10


def quantizer_of(settings, *, seed=0):
    torch.manual_seed(seed)
    return build_quantizer(WIDTH, settings, tokens=TOKENS)


def vq_of(*, seed=0, **options):
    return quantizer_of(config.VQ(**{"codebook_size": 16, "dimension": 3, **options}), seed=seed)


def seeded(seed):
    return torch.Generator().manual_seed(seed)


every_kind = pytest.mark.parametrize(
    "settings",
    [config.FSQ(levels=(8, 5, 2)), config.VQ(codebook_size=16, dimension=3)],
    ids=["fsq", "vq"],
)


@every_kind
def test_the_kind_of_the_configuration_is_built(settings):
    quantizer = quantizer_of(settings)
    assert type(quantizer) is {"fsq": FSQ, "vq": VQ}[settings.kind]
    assert (quantizer.codebook_size, quantizer.dimension) == (settings.codebook_size, 3)


@every_kind
def test_ids_decode_to_the_codes_of_the_forward_pass(settings):
    quantizer = quantizer_of(settings).eval()
    out = quantizer(4 * torch.randn(20, TOKENS, WIDTH))
    assert out.codes.shape == (20, TOKENS, 3)
    assert out.ids.shape == (20, TOKENS)
    assert out.ids.dtype == torch.int64
    assert out.ids.min() >= 0
    assert out.ids.max() < quantizer.codebook_size
    assert len(out.ids.unique()) > quantizer.codebook_size / 2
    torch.testing.assert_close(quantizer.decode(out.ids), out.codes, atol=1e-6, rtol=0)


@every_kind
def test_codes_do_not_depend_on_the_rest_of_the_batch(settings):
    quantizer = quantizer_of(settings).eval()
    latents = torch.randn(4, TOKENS, WIDTH)
    assert torch.equal(quantizer(latents).ids[1:2], quantizer(latents[1:2]).ids)


@every_kind
def test_the_reconstruction_gradient_passes_straight_through(settings):
    quantizer = quantizer_of(settings)
    latents = torch.randn(2, TOKENS, WIDTH, requires_grad=True)
    weights = torch.randn(2, TOKENS, 3)
    (quantizer(latents).codes * weights).sum().backward()
    assert (latents.grad.abs().sum(-1) > 0).all()
    assert quantizer.project.weight.grad.abs().sum() > 0
    # The codes pass their gradient on as if nothing had been quantized.
    with torch.enable_grad():
        again = latents.detach().requires_grad_()
        x = quantizer.project(again)
        smooth = x.sigmoid() * 2 - 1 if settings.kind == "fsq" else F.normalize(x, dim=-1)
        (smooth * weights).sum().backward()
    torch.testing.assert_close(latents.grad, again.grad)


@every_kind
def test_autocast_does_not_move_the_codes(settings):
    quantizer = quantizer_of(settings).eval()
    latents = torch.randn(20, TOKENS, WIDTH)
    expected = quantizer(latents)
    with torch.autocast("cpu", torch.bfloat16):
        actual = quantizer(latents)
    assert torch.equal(actual.ids, expected.ids)
    assert torch.equal(actual.codes, expected.codes)


@deterministic
@given(st.lists(st.integers(2, 9), min_size=1, max_size=4))
def test_fsq_reaches_every_code(levels):
    # Latents whose sigmoid lies at the middle of each level; the ends are approached only.
    steps = [torch.linspace(1e-3, 1 - 1e-3, n).logit().tolist() for n in levels]
    grid = torch.tensor(list(itertools.product(*steps)))
    quantizer = FSQ(len(levels), config.FSQ(levels=tuple(levels)), tokens=len(grid))
    nn.init.eye_(quantizer.project.weight)
    out = quantizer(grid[None])
    assert out.ids.unique().tolist() == list(range(quantizer.codebook_size))
    assert out.loss == 0
    for dimension, n in enumerate(levels):
        values = out.codes[..., dimension].unique()
        torch.testing.assert_close(values, torch.linspace(-1, 1, n), atol=1e-6, rtol=0)


@every_kind
def test_calibration_centres_every_position_and_sets_the_spread(settings):
    quantizer = quantizer_of(settings).eval()
    latents = 3 + torch.randn(1, TOKENS, WIDTH) + 0.01 * torch.randn(50, TOKENS, WIDTH)
    before = quantizer(latents).ids
    quantizer.project.calibrate(latents, spread=quantizer.calibrated_spread)
    points = quantizer.project(latents)
    torch.testing.assert_close(points.mean(0), torch.zeros(TOKENS, 3), atol=1e-3, rtol=0)
    spread = points.std(0).square().mean(0).sqrt()
    torch.testing.assert_close(spread, torch.full((3,), quantizer.calibrated_spread))
    # Codes that told positions apart now tell images apart.
    after = quantizer(latents).ids
    variety = [min(len(column.unique()) for column in ids.T) for ids in (before, after)]
    assert variety[0] <= 2
    assert variety[1] >= 5


def test_every_position_has_its_own_bias():
    quantizer = quantizer_of(config.FSQ(levels=(8, 5, 2)))
    with torch.no_grad():
        quantizer.project.bias[4] += 20
    codes = quantizer(torch.randn(6, TOKENS, WIDTH)).codes
    assert (codes == 1).all(-1).all(0).nonzero().flatten().tolist() == [4]


def test_fsq_bounds_extreme_latents():
    quantizer = quantizer_of(config.FSQ(levels=(8, 5)))
    out = quantizer(torch.randn(4, TOKENS, WIDTH) * 1e6)
    assert out.codes.abs().max() <= 1
    assert out.ids.max() < 40


def test_vq_chooses_the_nearest_direction():
    quantizer = vq_of().eval()
    latents = torch.randn(4, TOKENS, WIDTH)
    out = quantizer(latents)
    points = F.normalize(quantizer.project(latents), dim=-1)
    codebook = F.normalize(quantizer.codebook, dim=-1)
    assert torch.equal(out.ids, torch.cdist(points, codebook[None]).argmin(-1))
    torch.testing.assert_close(out.codes.norm(dim=-1), torch.ones(4, TOKENS))
    with torch.no_grad():
        quantizer.codebook.mul_(torch.rand(16, 1) + 0.5)
    assert torch.equal(quantizer(latents).ids, out.ids)


def test_commitment_scales_the_pull_on_the_encoder_alone():
    latents = torch.randn(4, TOKENS, WIDTH)
    losses, encoder, codebook = [], [], []
    for commitment in (0.0, 0.25, 1.0):
        quantizer = vq_of(commitment=commitment)
        loss = quantizer(latents).loss
        loss.backward()
        losses.append(loss.item())
        encoder.append(quantizer.project.weight.grad)
        codebook.append(quantizer.codebook.grad)
    assert losses[1] == pytest.approx(1.25 * losses[0])
    assert losses[2] == pytest.approx(2 * losses[0])
    assert encoder[0].abs().max() == 0
    assert encoder[2].abs().max() > 0
    torch.testing.assert_close(encoder[2], 4 * encoder[1])
    assert codebook[0].abs().max() > 0
    torch.testing.assert_close(codebook[2], codebook[0])


def test_a_step_against_the_gradient_brings_codes_and_latents_together():
    quantizer = vq_of()
    latents = torch.randn(4, TOKENS, WIDTH)
    before = quantizer(latents).loss
    before.backward()
    with torch.no_grad():
        for parameter in quantizer.parameters():
            parameter -= 0.1 * parameter.grad
    assert quantizer(latents).loss < before


@pytest.mark.parametrize("decay", [0.0, 0.9])
def test_usage_averages_the_draws_per_code(decay):
    quantizer = vq_of(usage_decay=decay, revive_below=0.0)
    usage = torch.ones(16)
    for seed in range(2):
        ids = quantizer(torch.randn(4, TOKENS, WIDTH, generator=seeded(seed))).ids
        counts = torch.bincount(ids.flatten(), minlength=16)
        usage = decay * usage + (1 - decay) * counts / 40 * 16
    torch.testing.assert_close(quantizer.usage, usage)
    assert quantizer.usage.sum().item() == pytest.approx(16, rel=1e-5)


def neglected(**options):
    """A quantizer of which codes 3, 7 and 11 have not been used for long."""
    quantizer = vq_of(**options)
    quantizer.usage[[3, 7, 11]] = 0.01
    return quantizer


def test_dead_codes_become_latents_of_the_batch():
    quantizer = neglected(usage_decay=0.99, revive_below=0.03)
    before = quantizer.codebook.detach().clone()
    latents = torch.randn(4, TOKENS, WIDTH)
    out = quantizer(latents, seeded(0))
    moved = (quantizer.codebook != before).any(-1).nonzero().flatten()
    assert moved.tolist() == [3, 7, 11]
    points = F.normalize(quantizer.project(latents), dim=-1).flatten(0, 1)
    distances = torch.cdist(quantizer.codebook[moved], points)
    assert (distances.min(-1).values < 1e-3).all()
    assert (quantizer.usage[moved] > 0.9).all()
    assert len(distances.argmin(-1).unique()) == 3
    assert set(moved.tolist()) <= set(out.ids.unique().tolist())
    torch.testing.assert_close(quantizer.decode(out.ids), out.codes, atol=1e-6, rtol=0)
    (out.loss + out.codes.sum()).backward()
    assert quantizer.codebook.grad.isfinite().all()


@pytest.mark.parametrize(("training", "revive_below"), [(False, 0.03), (True, 0.0)])
def test_nothing_is_revived_out_of_training_or_when_switched_off(training, revive_below):
    quantizer = neglected(revive_below=revive_below).train(training)
    before = {name: value.clone() for name, value in quantizer.state_dict().items()}
    quantizer(torch.randn(4, TOKENS, WIDTH), seeded(0))
    assert torch.equal(quantizer.codebook, before["codebook"])
    assert torch.equal(quantizer.usage, before["usage"]) is not training


def test_revival_is_drawn_from_the_generator():
    latents = torch.randn(4, TOKENS, WIDTH)

    def revived(seed):
        quantizer = neglected()
        torch.manual_seed(1)
        state = torch.get_rng_state()
        quantizer(latents, seeded(seed))
        assert torch.equal(state, torch.get_rng_state())
        return quantizer.codebook

    assert torch.equal(revived(0), revived(0))
    assert not torch.equal(revived(0), revived(1))
