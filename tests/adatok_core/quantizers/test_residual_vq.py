import itertools
import math

import pytest
import torch
from torch import nn

from adatok_core import config

WIDTH, TOKENS = 8, 10


@pytest.fixture
def rvq_of(quantizer_of):
    def rvq_of(**options):
        settings = config.ResidualVQ(**{"entries": 8, "depth": 2, "dimension": 3, **options})
        return quantizer_of(settings)

    return rvq_of


def usage_of(ids, size):
    """Perplexity over `size`: 1 when all codes are used alike."""
    share = torch.bincount(ids.flatten(), minlength=size) / ids.numel()
    return math.exp(torch.special.entr(share).sum()) / size


@pytest.mark.parametrize(("entries", "depth", "dimension"), [(8, 2, 3), (5, 4, 6), (9, 1, 2)])
def test_there_is_a_codebook_per_depth(entries, depth, dimension, rvq_of):
    quantizer = rvq_of(entries=entries, depth=depth, dimension=dimension)
    assert [tuple(book.shape) for book in quantizer.codebooks] == [(entries, dimension)] * depth
    assert quantizer.code_sizes == (entries,) * depth
    out = quantizer(torch.randn(30, TOKENS, WIDTH))
    assert out.codes.shape[-1] == dimension
    parts = quantizer.parts(out.ids)
    assert parts.shape[-1] == depth
    assert parts.max() == entries - 1


def test_each_depth_is_nearest_to_what_the_ones_before_left(rvq_of):
    quantizer = rvq_of(depth=3)
    latents = torch.randn(4, TOKENS, WIDTH)
    out = quantizer(latents)
    residual = quantizer.points(latents)
    for book, part in zip(quantizer.codebooks, quantizer.parts(out.ids).unbind(-1), strict=True):
        assert torch.equal(torch.cdist(residual, book[None]).argmin(-1), part)
        residual = residual - book[part]
    torch.testing.assert_close(out.codes, quantizer.points(latents) - residual)


def test_the_first_depth_is_the_lowest_part(rvq_of):
    quantizer = rvq_of(entries=8, depth=2)
    first, second = quantizer.codebooks
    code = quantizer.decode(torch.tensor([[3 + 8 * 5]]))[0, 0]
    torch.testing.assert_close(code, first[3] + second[5])


def test_62_bits_fit(rvq_of):
    quantizer = rvq_of(entries=4, depth=31)
    ids = torch.tensor([[4**31 - 1, 0]])
    assert quantizer.codebook_size == 4**31
    assert quantizer.bits == 62
    assert quantizer.parts(ids).tolist() == [[[3] * 31, [0] * 31]]
    out = quantizer(torch.randn(2, TOKENS, WIDTH))
    assert (out.ids >= 0).all()
    assert torch.equal(quantizer.decode(out.ids), out.codes)


def test_the_error_falls_with_depth(bare):
    errors = []
    for depth in (1, 2, 3, 4):
        kind = config.ResidualVQ(entries=64, depth=depth, dimension=6)
        quantizer = bare(kind, dimension=6)
        generator = torch.Generator().manual_seed(1)
        points = quantizer.spread * torch.randn(60, TOKENS, 6, generator=generator)
        codes = quantizer.quantize(points, None).codes
        errors.append((codes - points).square().sum(-1).mean().item())
    # Points have unit norm; a depth of 64 entries in 6 dimensions should leave a quarter or more.
    assert errors[0] < 0.5
    for before, after in itertools.pairwise(errors):
        assert 0.2 * before < after < 0.6 * before


@pytest.mark.parametrize(("entries", "dimension"), [(256, 12), (16, 3), (64, 8)])
def test_all_depths_are_used_from_the_start(entries, dimension, bare):
    quantizer = bare(
        config.ResidualVQ(entries=entries, depth=3, dimension=dimension), dimension=dimension
    )
    latents = quantizer.calibrated_spread * torch.randn(400, TOKENS, dimension)
    for part in quantizer.parts(quantizer(latents).ids).unbind(-1):
        assert len(part.unique()) > 0.98 * entries
        # Codes as wide as the points would give 0.5 and less from the second depth on.
        assert usage_of(part, entries) > 0.65


def test_the_loss_adds_up_over_partial_sums(rvq_of):
    quantizer = rvq_of(depth=3, commitment=0.5)
    latents = torch.randn(4, TOKENS, WIDTH)
    out = quantizer(latents)
    points, parts = quantizer.points(latents), quantizer.parts(out.ids)
    partial, expected = 0, 0
    for book, part in zip(quantizer.codebooks, parts.unbind(-1), strict=True):
        partial = partial + book[part]
        expected = expected + 1.5 * (points - partial).square().sum(-1).mean()
    torch.testing.assert_close(out.loss, expected)


def test_commitment_scales_the_pull_on_the_encoder_alone(rvq_of):
    losses, encoder, codebooks = [], [], []
    for commitment in (0.0, 0.25, 1.0):
        quantizer = rvq_of(commitment=commitment)
        loss = quantizer(torch.randn(4, TOKENS, WIDTH)).loss
        loss.backward()
        losses.append(loss.item())
        encoder.append(quantizer.project.weight.grad)
        codebooks.append([book.grad for book in quantizer.codebooks])
    assert losses[2] == pytest.approx(2 * losses[0])
    assert encoder[0].abs().max() == 0
    assert encoder[2].abs().max() > 0
    torch.testing.assert_close(encoder[2], 4 * encoder[1])
    assert all(grad.abs().max() > 0 for grad in codebooks[0])
    torch.testing.assert_close(codebooks[2], codebooks[0])


def test_each_codebook_learns_from_its_own_residual(rvq_of):
    """A codebook's gradient is that of its own term, whatever the deeper ones do."""
    shallow, deep = rvq_of(depth=1), rvq_of(depth=3)
    latents = torch.randn(4, TOKENS, WIDTH)
    for quantizer in (shallow, deep):
        quantizer(latents).loss.backward()
    assert torch.equal(shallow.codebooks[0], deep.codebooks[0])
    torch.testing.assert_close(shallow.codebooks[0].grad, deep.codebooks[0].grad)


@pytest.mark.parametrize("decay", [0.0, 0.9])
def test_usage_decays_as_configured_at_every_depth(decay, rvq_of, seeded):
    quantizer = rvq_of(usage_decay=decay, revive_below=0.0)
    ids = quantizer(torch.randn(4, TOKENS, WIDTH), seeded(0)).ids
    for depth, part in enumerate(quantizer.parts(ids).unbind(-1)):
        share = torch.bincount(part.flatten(), minlength=8) / 40 * 8
        torch.testing.assert_close(quantizer.usage[depth], decay + (1 - decay) * share)


def test_dead_codes_become_residuals_of_their_depth(rvq_of, seeded):
    quantizer = rvq_of(depth=3)
    quantizer.usage[0, [1, 2]] = 0.01
    quantizer.usage[2, [0, 4, 5]] = 0.01
    before = [book.detach().clone() for book in quantizer.codebooks]
    latents = torch.randn(4, TOKENS, WIDTH)
    out = quantizer(latents, seeded(0))
    residual = quantizer.points(latents, learn=True).detach()
    parts = quantizer.parts(out.ids).unbind(-1)
    for depth, dead in enumerate([[1, 2], [], [0, 4, 5]]):
        book = quantizer.codebooks[depth].detach()
        moved = (book != before[depth]).any(-1).nonzero().flatten()
        assert moved.tolist() == dead
        if dead:
            distances = torch.cdist(book[moved], residual.flatten(0, 1))
            assert distances.min() < 1e-3
            assert (distances.min(-1).values < 1e-3).all()
            assert len(distances.argmin(-1).unique()) == len(dead)
            assert (quantizer.usage[depth, moved] > 0.9).all()
            assert set(dead) <= set(parts[depth].unique().tolist())
        residual = residual - book[parts[depth]]
    assert torch.equal(quantizer.decode(out.ids), out.codes)
    (out.loss + out.codes.sum()).backward()
    assert all(book.grad.isfinite().all() for book in quantizer.codebooks)


def test_revival_can_be_switched_off(rvq_of, seeded):
    quantizer = rvq_of(revive_below=0.0)
    quantizer.usage[:, :4] = 0.0
    before = [book.detach().clone() for book in quantizer.codebooks]
    quantizer(torch.randn(4, TOKENS, WIDTH), seeded(0))
    for book, old in zip(quantizer.codebooks, before, strict=True):
        assert torch.equal(book, old)


def test_training_lowers_the_error_on_clusters_and_uses_more_codes(bare, seeded):
    quantizer = bare(
        config.ResidualVQ(entries=8, depth=2, dimension=3, usage_decay=0.8, revive_below=0.2),
        dimension=3,
    )
    centres = torch.randn(30, 3)
    latents = centres[torch.randint(30, (40, TOKENS))] + 0.02 * torch.randn(40, TOKENS, 3)
    # Off centre, where few of the first codes are.
    points = quantizer.spread * (latents + 2)

    def state():
        out = quantizer.quantize(points, None)
        error = (out.codes - points).square().sum(-1).mean().item()
        return error, len(out.ids.unique())

    before = state()
    quantizer.project.requires_grad_(False)
    optimizer = torch.optim.Adam([*quantizer.codebooks.parameters()], lr=1e-2)
    for step in range(150):
        optimizer.zero_grad()
        quantizer.quantize(points, seeded(step)).loss.backward()
        optimizer.step()
    after = state()
    assert after[0] < 0.4 * before[0]
    assert after[1] > before[1]


def test_codebooks_are_parameters(rvq_of):
    quantizer = rvq_of()
    assert all(isinstance(book, nn.Parameter) for book in quantizer.codebooks)
    assert {"codebooks.0", "codebooks.1", "usage"} <= quantizer.state_dict().keys()
