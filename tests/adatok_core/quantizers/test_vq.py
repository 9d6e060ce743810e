import pytest
import torch
from torch.nn import functional as F

from adatok_core import config

WIDTH, TOKENS = 8, 10


@pytest.fixture
def vq_of(quantizer_of):
    def vq_of(**options):
        return quantizer_of(config.VQ(**{"codebook_size": 16, "dimension": 3, **options}))

    return vq_of


@pytest.mark.parametrize(("codebook_size", "dimension"), [(16, 3), (7, 5)])
def test_the_codebook_has_the_size_and_dimension_asked_for(codebook_size, dimension, vq_of):
    quantizer = vq_of(codebook_size=codebook_size, dimension=dimension)
    assert quantizer.codebook.shape == (codebook_size, dimension)
    out = quantizer(torch.randn(30, TOKENS, WIDTH))
    assert out.codes.shape[-1] == dimension
    assert out.ids.max() == codebook_size - 1


def test_the_nearest_direction_is_chosen(vq_of):
    quantizer = vq_of().eval()
    latents = torch.randn(4, TOKENS, WIDTH)
    out = quantizer(latents)
    points = F.normalize(quantizer.points(latents), dim=-1)
    codebook = F.normalize(quantizer.codebook, dim=-1)
    assert torch.equal(out.ids, torch.cdist(points, codebook[None]).argmin(-1))
    torch.testing.assert_close(out.codes.norm(dim=-1), torch.ones(4, TOKENS))
    with torch.no_grad():
        quantizer.codebook.mul_(torch.rand(16, 1) + 0.5)
    assert torch.equal(quantizer(latents).ids, out.ids)


def test_every_code_is_nearest_to_itself(bare):
    quantizer = bare(config.VQ(codebook_size=20, dimension=4), dimension=4, tokens=20)
    ids = torch.arange(20)[None]
    assert torch.equal(quantizer(quantizer.decode(ids)).ids, ids)


def test_commitment_scales_the_pull_on_the_encoder_alone(vq_of):
    losses, encoder, codebook = [], [], []
    for commitment in (0.0, 0.25, 1.0):
        quantizer = vq_of(commitment=commitment)
        loss = quantizer(torch.randn(4, TOKENS, WIDTH)).loss
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


def test_a_step_against_the_gradient_brings_codes_and_latents_together(vq_of):
    quantizer = vq_of()
    latents = torch.randn(4, TOKENS, WIDTH)
    before = quantizer(latents).loss
    before.backward()
    with torch.no_grad():
        for parameter in quantizer.parameters():
            parameter -= 0.1 * parameter.grad
    assert quantizer(latents).loss < before


@pytest.mark.parametrize("decay", [0.0, 0.9])
def test_usage_decays_as_configured(decay, vq_of, seeded):
    quantizer = vq_of(usage_decay=decay, revive_below=0.0)
    ids = quantizer(torch.randn(4, TOKENS, WIDTH), seeded(0)).ids
    share = torch.bincount(ids.flatten(), minlength=16) / 40 * 16
    torch.testing.assert_close(quantizer.usage, decay + (1 - decay) * share)


def test_dead_codes_become_latents_of_the_batch(vq_of, seeded):
    quantizer = vq_of(usage_decay=0.99, revive_below=0.03)
    quantizer.usage[[3, 7, 11]] = 0.01
    before = quantizer.codebook.detach().clone()
    latents = torch.randn(4, TOKENS, WIDTH)
    out = quantizer(latents, seeded(0))
    moved = (quantizer.codebook != before).any(-1).nonzero().flatten()
    assert moved.tolist() == [3, 7, 11]
    points = quantizer.points(latents, learn=True).flatten(0, 1)
    distances = torch.cdist(quantizer.codebook[moved], points)
    assert (distances.min(-1).values < 1e-3).all()
    assert (quantizer.usage[moved] > 0.9).all()
    assert len(distances.argmin(-1).unique()) == 3
    assert set(moved.tolist()) <= set(out.ids.unique().tolist())
    (out.loss + out.codes.sum()).backward()
    assert quantizer.codebook.grad.isfinite().all()


def test_revival_can_be_switched_off(vq_of, seeded):
    quantizer = vq_of(revive_below=0.0)
    quantizer.usage[[3, 7, 11]] = 0.0
    before = quantizer.codebook.detach().clone()
    quantizer(torch.randn(4, TOKENS, WIDTH), seeded(0))
    assert torch.equal(quantizer.codebook, before)


def test_revival_brings_a_codebook_to_use_in_training(vq_of, seeded):
    def trained(revive_below):
        quantizer = vq_of(usage_decay=0.5, revive_below=revive_below)
        quantizer.project.requires_grad_(False)
        # All in nearly the same direction, where few of the first codes are.
        points = F.normalize(2 + 0.5 * torch.randn(8, TOKENS, 3, generator=seeded(0)), dim=-1)
        optimizer = torch.optim.Adam([quantizer.codebook], lr=1e-2)
        for step in range(60):
            optimizer.zero_grad()
            quantizer.quantize(points, seeded(step)).loss.backward()
            optimizer.step()
        out = quantizer.quantize(points, None)
        return len(out.ids.unique()), out.loss.item()

    (few, high), (many, low) = trained(0.0), trained(0.1)
    assert few <= 8
    assert many >= 13
    assert low < 0.7 * high
