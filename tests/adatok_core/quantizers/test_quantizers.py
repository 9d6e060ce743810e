"""What every quantizer must keep to."""

import math

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from adatok_core import config
from adatok_core.quantizers.fsq import FSQ
from adatok_core.quantizers.lfq import LFQ
from adatok_core.quantizers.residual_vq import ResidualVQ
from adatok_core.quantizers.vq import VQ

WIDTH, TOKENS = 8, 10
deterministic = settings(
    deadline=None,
    derandomize=True,
    max_examples=15,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
KINDS = [
    config.FSQ(levels=(8, 5, 2)),
    config.LFQ(bits=5),
    config.VQ(codebook_size=16, dimension=3),
    config.ResidualVQ(entries=8, depth=2, dimension=3),
]
every_kind = pytest.mark.parametrize("kind", KINDS, ids=[kind.kind for kind in KINDS])
# What a code would be without quantization.
SMOOTH = {
    "fsq": lambda points: points.sigmoid() * 2 - 1,
    "lfq": lambda points: points,
    "vq": lambda points: F.normalize(points, dim=-1),
    "residual_vq": lambda points: points,
}


def snapshot(module):
    return {name: value.clone() for name, value in module.state_dict().items()}


def changed(module, before):
    return {k for k, v in module.state_dict().items() if not torch.equal(v, before[k])}


@every_kind
def test_the_kind_of_the_configuration_is_built(kind, quantizer_of):
    quantizer = quantizer_of(kind)
    classes = {"fsq": FSQ, "lfq": LFQ, "vq": VQ, "residual_vq": ResidualVQ}
    assert type(quantizer) is classes[kind.kind]
    assert quantizer.codebook_size == kind.codebook_size
    assert quantizer.dimension == {"lfq": 5}.get(kind.kind, 3)
    assert quantizer.project.weight.shape == (quantizer.dimension, WIDTH)
    assert quantizer.project.bias.shape == (TOKENS, quantizer.dimension)
    assert quantizer.calibrated_spread > 0


@pytest.mark.parametrize(
    ("kind", "sizes", "bits"),
    [
        (config.FSQ(levels=(8, 5, 5, 5)), (1000,), math.log2(1000)),
        (config.FSQ(levels=(4, 2)), (8,), 3),
        (config.LFQ(bits=12), (4096,), 12),
        (config.LFQ(bits=48), (2**48,), 48),
        (config.VQ(codebook_size=1024), (1024,), 10),
        (config.ResidualVQ(entries=256, depth=2), (256, 256), 16),
        (config.ResidualVQ(entries=6, depth=3), (6, 6, 6), 3 * math.log2(6)),
    ],
)
def test_bits_are_counted(kind, sizes, bits, quantizer_of):
    quantizer = quantizer_of(kind)
    assert quantizer.code_sizes == sizes
    assert quantizer.codebook_size == math.prod(sizes)
    assert quantizer.bits == pytest.approx(bits)


@every_kind
@deterministic
@given(seed=st.integers(0, 99), scale=st.floats(0.01, 100), training=st.booleans())
def test_ids_decode_to_exactly_the_codes_of_the_forward_pass(
    kind, seed, scale, training, quantizer_of
):
    quantizer = quantizer_of(kind, seed=seed).train(training)
    generator = torch.Generator().manual_seed(seed) if training else None
    out = quantizer(scale * torch.randn(6, TOKENS, WIDTH), generator)
    assert out.codes.shape == (6, TOKENS, quantizer.dimension)
    assert out.codes.dtype == torch.float32
    assert out.ids.shape == (6, TOKENS)
    assert out.ids.dtype == torch.int64
    assert out.loss.shape == ()
    assert out.ids.min() >= 0
    assert out.ids.max() < quantizer.codebook_size
    assert torch.equal(quantizer.decode(out.ids), out.codes)
    assert torch.equal(quantizer.decode(out.ids[:, :4]), out.codes[:, :4])


@every_kind
def test_every_id_has_its_own_code(kind, quantizer_of):
    quantizer = quantizer_of(kind)
    codes = quantizer.decode(torch.arange(quantizer.codebook_size)[None])
    assert len(codes[0].unique(dim=0)) == quantizer.codebook_size


@every_kind
def test_the_parts_of_an_id_make_it_up(kind, quantizer_of):
    quantizer = quantizer_of(kind)
    ids = torch.arange(quantizer.codebook_size).reshape(2, -1)
    parts = quantizer.parts(ids)
    sizes = quantizer.code_sizes
    assert parts.shape == (*ids.shape, len(sizes))
    assert parts.dtype == torch.int64
    assert (parts >= 0).all()
    assert (parts < torch.tensor(sizes)).all()
    places = torch.tensor([math.prod(sizes[:q]) for q in range(len(sizes))])
    assert torch.equal((parts * places).sum(-1), ids)


@every_kind
def test_codes_tell_images_apart_once_calibrated(kind, quantizer_of):
    quantizer = quantizer_of(kind).eval()
    latents = 3 + torch.randn(1, TOKENS, WIDTH) + 0.01 * torch.randn(50, TOKENS, WIDTH)
    before = quantizer(latents).ids
    quantizer.project.calibrate(latents, spread=quantizer.calibrated_spread)
    after = quantizer(latents).ids
    # They told only positions apart before.
    variety = [min(len(column.unique()) for column in ids.T) for ids in (before, after)]
    assert variety[0] <= 2
    assert variety[1] >= 5
    assert len(after.unique()) > quantizer.codebook_size / 4


@every_kind
def test_codes_do_not_depend_on_the_rest_of_the_batch(kind, quantizer_of):
    quantizer = quantizer_of(kind).eval()
    latents = torch.randn(4, TOKENS, WIDTH)
    assert torch.equal(quantizer(latents).ids[1:2], quantizer(latents[1:2]).ids)


@every_kind
@pytest.mark.parametrize("training", [False, True])
def test_a_token_depends_on_its_own_latent_only(kind, training, quantizer_of):
    quantizer = quantizer_of(kind).train(training)
    latents = torch.randn(3, TOKENS, WIDTH)
    reference = quantizer(latents)
    for i in range(TOKENS):
        other = latents.clone()
        other[:, i] = -5 * other[:, i]
        out = quantizer(other)
        untouched = [j for j in range(TOKENS) if j != i]
        assert torch.equal(out.ids[:, untouched], reference.ids[:, untouched])
        assert torch.equal(out.codes[:, untouched], reference.codes[:, untouched])
        assert (out.ids[:, i] != reference.ids[:, i]).any()


@every_kind
def test_the_gradient_of_a_token_s_code_reaches_its_own_latent_only(kind, quantizer_of):
    latents = torch.randn(2, TOKENS, WIDTH, requires_grad=True)
    quantizer_of(kind)(latents).codes[0, 4].sum().backward()
    touched = latents.grad.abs().sum(-1).nonzero().tolist()
    assert touched == [[0, 4]]


@every_kind
def test_the_reconstruction_gradient_passes_straight_through(kind, quantizer_of):
    quantizer = quantizer_of(kind)
    latents = torch.randn(2, TOKENS, WIDTH, requires_grad=True)
    weights = torch.randn(2, TOKENS, quantizer.dimension)
    (quantizer(latents).codes * weights).sum().backward()
    assert (latents.grad.abs().sum(-1) > 0).all()
    assert quantizer.project.weight.grad.abs().sum() > 0
    again = latents.detach().requires_grad_()
    (SMOOTH[kind.kind](quantizer.points(again)) * weights).sum().backward()
    torch.testing.assert_close(latents.grad, again.grad)


@every_kind
def test_autocast_moves_neither_codes_nor_loss(kind, quantizer_of):
    quantizer = quantizer_of(kind).eval()
    latents = torch.randn(20, TOKENS, WIDTH)
    expected = quantizer(latents)
    with torch.autocast("cpu", torch.bfloat16):
        actual = quantizer(latents)
        decoded = quantizer.decode(actual.ids)
    assert torch.equal(actual.ids, expected.ids)
    assert torch.equal(actual.codes, expected.codes)
    assert torch.equal(actual.loss, expected.loss)
    assert torch.equal(decoded, expected.codes)


@every_kind
@pytest.mark.parametrize(("training", "drawn"), [(False, True), (True, False), (False, False)])
def test_nothing_changes_out_of_training_or_without_a_generator(
    kind, training, drawn, quantizer_of, seeded
):
    quantizer = quantizer_of(kind).train(training)
    if hasattr(quantizer, "usage"):
        quantizer.usage[..., :3] = 0.0
    before, state = snapshot(quantizer), torch.get_rng_state()
    latents = torch.randn(4, TOKENS, WIDTH, generator=seeded(0))
    generator = seeded(0) if drawn else None
    quantizer(latents, generator)
    assert changed(quantizer, before) == set()
    assert torch.equal(torch.get_rng_state(), state)
    assert generator is None or torch.equal(generator.get_state(), seeded(0).get_state())


@every_kind
def test_training_with_a_generator_changes_codebooks_and_their_usage_only(
    kind, quantizer_of, seeded
):
    quantizer = quantizer_of(kind)
    if hasattr(quantizer, "usage"):
        quantizer.usage[..., :3] = 0.0
    before = snapshot(quantizer)
    quantizer(torch.randn(4, TOKENS, WIDTH), seeded(0))
    learned = {"vq": {"codebook"}, "residual_vq": {"codebooks.0", "codebooks.1"}}
    expected = learned.get(kind.kind, set())
    statistics = {"usage", "norm.mean", "norm.variance"}
    assert changed(quantizer, before) == (expected | statistics if expected else set())


@every_kind
def test_a_short_training_reconstructs_clusters_better(kind, quantizer_of, seeded):
    quantizer = quantizer_of(kind)
    centres = torch.randn(12, WIDTH)
    latents = centres[torch.randint(12, (32, TOKENS))] + 0.1 * torch.randn(32, TOKENS, WIDTH)
    quantizer.project.calibrate(latents, spread=quantizer.calibrated_spread)
    decoder = torch.nn.Linear(quantizer.dimension, WIDTH)
    parameters = [*quantizer.parameters(), *decoder.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=1e-2)

    def error():
        return (decoder(quantizer.eval()(latents).codes) - latents).square().mean()

    with torch.no_grad():
        # The best decoder of the untrained codes, so that only better codes improve on it.
        codes = F.pad(quantizer(latents).codes.flatten(0, 1), (0, 1), value=1)
        best = torch.linalg.lstsq(codes, latents.flatten(0, 1)).solution.T
        decoder.weight.copy_(best[:, :-1])
        decoder.bias.copy_(best[:, -1])
        before = error()
    for step in range(150):
        optimizer.zero_grad()
        out = quantizer.train()(latents, seeded(step))
        ((decoder(out.codes) - latents).square().mean() + 0.1 * out.loss).backward()
        optimizer.step()
    assert error() < 0.8 * before
