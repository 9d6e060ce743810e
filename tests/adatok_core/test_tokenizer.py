import pytest
import torch
from torch import nn

from adatok_core.config import VQ, LoRA, TokenizerConfig
from adatok_core.tokenizer import ElasticTokenizer, parameter_count, to_float, to_uint8

BUDGETS = (2, 4, 7)
ROOMY = {"atol": 1e-5, "rtol": 0}


def tokenizer_of(*, image_size=16, seed=0, **options):
    """A tokenizer whose adapters look trained: every head decodes in its own way."""
    torch.manual_seed(seed)
    config = TokenizerConfig(
        **{
            "budgets": BUDGETS,
            "patch_size": 4,
            "width": 16,
            "encoder_depth": 1,
            "decoder_depth": 2,
            "attention_heads": 2,
            "lora": LoRA(rank=2, alpha=2.0),
            **options,
        }
    )
    model = ElasticTokenizer(config, image_size=image_size).eval()
    for name, parameter in model.decoder.named_parameters():
        if name.endswith(".up"):
            nn.init.normal_(parameter, std=0.2)
    return model


@pytest.fixture(scope="module")
def model():
    return tokenizer_of()


@pytest.fixture
def images():
    return torch.rand(6, 3, 16, 16, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("patch_size", [2, 4, 16])
@pytest.mark.parametrize("quantizer", [TokenizerConfig().quantizer, VQ(dimension=5)])
def test_shapes(images, patch_size, quantizer):
    model = tokenizer_of(patch_size=patch_size, quantizer=quantizer)
    ids, latents = model.encode(images)
    assert ids.shape == (6, 7)
    assert latents.shape == (6, 7, 16)
    kept = torch.tensor([1, 2, 3, 4, 5, 7])
    output, quantized = model(images, kept)
    assert output.shape == images.shape
    assert output.dtype == torch.float32
    assert quantized.codes.shape == (6, 7, model.quantizer.dimension)
    assert torch.equal(quantized.ids, ids)
    torch.testing.assert_close(model.decode(ids, kept), output, **ROOMY)


def test_patch_size_must_divide_the_resolution():
    with pytest.raises(ValueError, match=r"^patch_size: 4 must divide the resolution 18"):
        tokenizer_of(image_size=18)


@pytest.mark.parametrize("patch_size", [2, 4])
def test_a_patch_of_the_image_is_a_patch_of_the_sequence(images, patch_size):
    encoder = tokenizer_of(patch_size=patch_size).encoder
    side = 16 // patch_size
    seen = []
    encoder.embed.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0]))
    row, column = 1, side - 1
    changed = images.clone()
    rows = slice(row * patch_size, (row + 1) * patch_size)
    columns = slice(column * patch_size, (column + 1) * patch_size)
    changed[:, :, rows, columns] += 1
    encoder(images)
    encoder(changed)
    moved = (seen[0] != seen[1]).any(-1).any(0)
    assert moved.nonzero().flatten().tolist() == [row * side + column]
    torch.testing.assert_close(seen[0].amin(), images.amin() * 2 - 1)


def test_latents_are_the_queries_that_saw_the_image(images):
    encoder = tokenizer_of().encoder
    with torch.no_grad():
        encoder.transformer.blocks[0].attention.out.weight.zero_()
        before = encoder(images)
        assert torch.equal(before[0], before[1])  # without attention they see nothing
        encoder.queries[2] += torch.linspace(-1, 1, 16)
        moved = (encoder(images) != before).any(-1).any(0)
    assert moved.nonzero().flatten().tolist() == [2]


def test_a_position_of_the_decoder_is_a_patch_of_the_image(images):
    model = tokenizer_of(budgets=(4,), lora=LoRA(rank=0))
    outputs = []
    codes = torch.rand(1, 4, 4)
    for bump in (0.0, 3.0):
        with torch.no_grad():
            model.decoder.queries[6] += bump * torch.linspace(-1, 1, 16)
            for block in model.decoder.transformer.blocks:
                block.attention.out.weight.zero_()
        outputs.append(model.decode_codes(codes, torch.tensor([4])))
    moved = (outputs[0] != outputs[1]).any(1)[0]
    assert moved[4:8, 8:12].all()
    moved[4:8, 8:12] = False
    assert not moved.any()


def test_encoding_is_deterministic_and_sees_the_whole_image(model, images):
    state = torch.get_rng_state()
    ids, latents = model.encode(images)
    again, latents_again = model.encode(images)
    assert torch.equal(state, torch.get_rng_state())
    assert torch.equal(ids, again)
    assert torch.equal(latents, latents_again)
    assert len(ids.unique()) > 10
    for corner in ((0, 0), (15, 15)):
        changed = images.clone()
        changed[:, :, corner[0], corner[1]] += 0.5
        assert ((model.encode(changed)[1] - latents).abs() > 1e-6).any(-1).all()


@pytest.mark.parametrize("k", range(1, 7))
def test_the_tail_never_reaches_the_reconstruction(model, images, k):
    ids, _ = model.encode(images)
    kept = torch.full((6,), k)
    expected = model.decode(ids, kept)
    other = ids.clone()
    other[:, k:] = (other[:, k:] + 1 + torch.arange(7 - k) * 37) % model.quantizer.codebook_size
    assert torch.equal(model.decode(other, kept), expected)
    codes = model.quantizer.decode(ids)
    codes[:, k:] = torch.randn(6, 7 - k, codes.shape[-1]) * 100
    assert torch.equal(model.decode_codes(codes, kept), expected)
    # The last token that is kept does reach it.
    other[:, k - 1] = (ids[:, k - 1] + 501) % model.quantizer.codebook_size
    changed = (model.decode(other, kept) - expected).abs().amax((1, 2, 3))
    assert (changed > 1e-3).all()


def test_an_image_decodes_alike_alone_and_in_a_mixed_batch(model, images):
    ids, latents = model.encode(images)
    kept = torch.tensor([7, 2, 4, 1, 3, 2])
    mixed = model.decode(ids, kept)
    for i in range(6):
        image = slice(i, i + 1)
        alone_ids, alone_latents = model.encode(images[image])
        assert torch.equal(alone_ids, ids[image])
        torch.testing.assert_close(alone_latents, latents[image], **ROOMY)
        torch.testing.assert_close(model.decode(ids[image], kept[image]), mixed[image], **ROOMY)
        merged = model.merged_decoder(int(kept[i]))
        codes = model.quantizer.decode(ids[image, : kept[i]])
        torch.testing.assert_close(merged(codes), mixed[image], **ROOMY)


def test_an_untrained_length_uses_the_next_larger_head(images):
    model = tokenizer_of()
    ids, _ = model.encode(images)
    lengths = (3, 5)
    before = [model.decode(ids, torch.full((6,), k)) for k in lengths]
    with torch.no_grad():
        for name, parameter in model.decoder.named_parameters():
            if name.endswith(".up"):
                parameter[1].zero_()  # the head of budgets 3 and 4
    after = [model.decode(ids, torch.full((6,), k)) for k in lengths]
    assert (after[0] - before[0]).abs().max() > 1e-2
    torch.testing.assert_close(after[1], before[1], **ROOMY)


@pytest.mark.parametrize("outside", [0, 8])
def test_a_budget_outside_the_tokenizer_is_refused(model, outside):
    with pytest.raises(ValueError, match=r"1\.\.7"):
        model.decode_codes(torch.zeros(1, 7, 4), torch.tensor([outside]))
    with pytest.raises(ValueError, match=r"1\.\.7"):
        model.merged_decoder(outside)


def test_gradient_reaches_the_heads_of_the_batch_the_encoder_and_the_quantizer(images):
    model = tokenizer_of()
    output, _ = model(images, torch.tensor([1, 2, 7, 7, 6, 2]))
    (output - images).square().mean().backward()
    ups = [p for name, p in model.decoder.named_parameters() if name.endswith(".up")]
    assert len(ups) == 4 * 2 + 2  # four layers of each block, embedding and pixels
    for parameter in ups:
        assert (parameter.grad.abs().sum((1, 2)) > 0).tolist() == [True, False, True]
    for parameter in (model.encoder.embed.weight, model.quantizer.project.weight):
        assert parameter.grad.abs().sum() > 0
    assert (model.encoder.queries.grad.abs().sum(-1) > 0).all()


def test_a_merged_decoder_is_a_copy(images):
    model = tokenizer_of()
    kept = torch.full((6,), 4)
    ids, _ = model.encode(images)
    before = model.decode(ids, kept)
    with torch.no_grad():
        for parameter in model.merged_decoder(4).parameters():
            parameter.zero_()
    assert torch.equal(model.decode(ids, kept), before)


def test_one_budget_makes_a_fixed_length_tokenizer(images):
    model = tokenizer_of(budgets=(4,), lora=LoRA(rank=0))
    assert not any(name.endswith(".up") for name, _ in model.named_parameters())
    output, quantized = model(images, torch.full((6,), 4))
    assert quantized.ids.shape == (6, 4)
    torch.testing.assert_close(model.decoder(quantized.codes), output, **ROOMY)


def test_positions_differ_and_those_of_kept_tokens_have_unit_scale(model):
    encoder, decoder = model.encoder, model.decoder
    scale = decoder.token_positions.square().mean().sqrt().item()
    assert scale == pytest.approx(1, abs=0.25)
    for positions in (
        encoder.queries,
        encoder.patch_positions,
        decoder.queries,
        decoder.token_positions,
    ):
        assert len(positions.detach().unique(dim=0)) == len(positions)


def test_calibration_makes_codes_depend_on_the_image(images):
    model = tokenizer_of()
    alike = 0.5 + 0.05 * (images - 0.5)
    before, _ = model.encode(alike)
    model.calibrate(alike)
    after, _ = model.encode(alike)
    distinct = [sum(len(column.unique()) for column in ids.T) for ids in (before, after)]
    assert distinct[0] < 21
    assert distinct[1] > 28  # of 6 images x 7 tokens
    points = model.quantizer.project(model.encoder(alike))
    torch.testing.assert_close(points.mean(0), torch.zeros(7, 4), atol=1e-3, rtol=0)


def test_every_uint8_survives_the_round_trip():
    pixels = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(to_uint8(to_float(pixels)), pixels)
    assert to_float(pixels).max() == 1


def test_to_uint8_clamps_and_rounds_half_to_even():
    values = torch.tensor([-0.5, -1e-6, 1 + 1e-6, 7.0, 0.4 / 255, 0.6 / 255])
    assert to_uint8(values).tolist() == [0, 0, 255, 255, 0, 1]
    assert (torch.tensor([0.5]) * 255).item() == 127.5  # exact: a true half
    assert to_uint8(torch.tensor([0.5, 0.1])).tolist() == [128, 26]
    halves = torch.tensor([n / 510 for n in range(1, 510, 2)], dtype=torch.float64)
    exact = (halves * 255) % 1 == 0.5
    assert exact.sum() > 100
    assert (to_uint8(halves)[exact] % 2 == 0).all()


def test_parameters_are_counted(model):
    parts = [parameter_count(part) for part in (model.encoder, model.quantizer, model.decoder)]
    assert parameter_count(model) == sum(parts)
    assert parameter_count(nn.Linear(3, 2)) == 8
