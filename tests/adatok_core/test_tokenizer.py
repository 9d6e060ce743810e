import itertools

import pytest
import torch
from torch import nn

from adatok_core.config import FSQ, VQ, LoRA, ResidualVQ
from adatok_core.lora import is_adapter
from adatok_core.tokenizer import parameter_count, to_float, to_uint8

ADAPTERS = ("per_budget", "shared", "shared_same_parameters")
# A shared decoder with adapters or none; separate decoders, which carry none.
DECODERS = {
    **{f"shared-{a}": {"lora": LoRA(rank=2, alpha=2.0, adapters=a)} for a in ADAPTERS},
    "shared-plain": {"lora": LoRA(rank=0)},
    "per_budget": {"decoders": "per_budget", "lora": LoRA(rank=0)},
}
COMBINATIONS = list(
    itertools.product(
        ("dropped", "hidden", "zeros", "mask_vector", "null_vectors"), DECODERS, ("full", "patches")
    )
)
ROOMY = {"atol": 1e-5, "rtol": 0}


@pytest.fixture(scope="module")
def model(tokenizer_of):
    return tokenizer_of()


@pytest.fixture(params=COMBINATIONS, ids="-".join)
def any_model(request, tokenizer_of):
    tail, decoders, latent_attention = request.param
    return tokenizer_of(tail=tail, latent_attention=latent_attention, **DECODERS[decoders])


@pytest.mark.parametrize("patch_size", [2, 4, 16])
@pytest.mark.parametrize("quantizer", [FSQ(), VQ(dimension=5)], ids=["fsq", "vq"])
def test_shapes(tokenizer_of, images, patch_size, quantizer):
    model = tokenizer_of(patch_size=patch_size, quantizer=quantizer)
    ids, latents = model.encode(images)
    assert ids.shape == (6, 7)
    assert latents.shape == (6, 7, 16)
    kept = torch.tensor([1, 2, 3, 4, 5, 7])
    result = model(images, kept)
    output, quantized = result.images, result.quantized
    assert output.shape == images.shape
    assert output.dtype == torch.float32
    assert quantized.codes.shape == (6, 7, model.quantizer.dimension)
    assert torch.equal(quantized.ids, ids)
    torch.testing.assert_close(model.decode(ids, kept), output, **ROOMY)


@pytest.mark.parametrize("encoding", ["one_pass", "told", "recurrent"])
def test_several_lengths_of_an_image_are_reconstructed_in_one_go(tokenizer_of, images, encoding):
    model = tokenizer_of(
        encoding=encoding, budgets=(2, 4, 6), rollouts=3 * (encoding == "recurrent") or None
    )
    encoded = []
    model.encoder.register_forward_pre_hook(lambda _, inputs: encoded.append(len(inputs[0])))
    lengths = torch.tensor([[6] * 6, [1, 2, 3, 4, 5, 6]])
    both = model(images, lengths.flatten())
    # What depends on the length is encoded for each.
    assert encoded == [6 if model.nested else 12]
    for output, kept in zip(both.images.chunk(2), lengths, strict=True):
        torch.testing.assert_close(output, model(images, kept).images, **ROOMY)


def test_patch_size_must_divide_the_resolution(tokenizer_of):
    with pytest.raises(ValueError, match=r"^patch_size: 4 must divide the resolution 18"):
        tokenizer_of(image_size=18)


@pytest.mark.parametrize(
    "quantizer",
    [FSQ(), VQ(codebook_size=64, revive_below=0.9), ResidualVQ(entries=64, revive_below=0.9)],
    ids=["fsq", "vq", "residual_vq"],
)
def test_encoding_changes_and_draws_nothing_even_in_training(tokenizer_of, images, quantizer):
    model = tokenizer_of(quantizer=quantizer).train()
    if not isinstance(quantizer, FSQ):
        model(images, torch.full((6,), 7), torch.Generator())  # from now on codes are dead
    before = {name: value.clone() for name, value in model.state_dict().items()}
    state = torch.get_rng_state()
    ids, latents = model.encode(images)
    again, latents_again = model.encode(images)
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert torch.equal(ids, again)
    assert torch.equal(latents, latents_again)


def test_codes_vary(model, images):
    assert len(model.encode(images)[0].unique()) > 10


@pytest.mark.parametrize("i", [0, 3, 6])
def test_a_row_of_the_encoder_is_a_token(model, images, i):
    before = model.encode(images)[0]

    def bump(_, __, latents):
        return latents + 3 * torch.linspace(-1, 1, 16) * (torch.arange(7) == i)[:, None]

    handle = model.encoder.register_forward_hook(bump)
    after = model.encode(images)[0]
    handle.remove()
    assert (after != before).any(0).nonzero().flatten().tolist() == [i]


def test_an_image_decodes_alike_alone_mixed_and_merged_at_every_length(any_model, images):
    model = any_model
    kept = torch.arange(1, 8)  # candidates and untrained lengths
    codes = model.quantizer.decode(model.encode(torch.cat([images, images[:1]]))[0])
    mixed = model.decode_codes(codes, kept)
    shuffle = torch.tensor([4, 0, 6, 2, 5, 1, 3])
    shuffled = model.decode_codes(codes[shuffle], kept[shuffle])
    torch.testing.assert_close(shuffled, mixed[shuffle], **ROOMY)
    for i, budget in enumerate(kept.tolist()):
        image = slice(i, i + 1)
        alone = model.decode_codes(codes[image], kept[image])
        torch.testing.assert_close(alone, mixed[image], **ROOMY)
        cut = model.decode_codes(codes[image, :budget], kept[image])
        torch.testing.assert_close(cut, mixed[image], **ROOMY)
        merged = model.merged_decoder(budget)
        assert not any(is_adapter(name) for name in merged.state_dict())
        torch.testing.assert_close(merged(codes[image, :budget]), mixed[image], **ROOMY)
    assert (mixed[0] - mixed[6]).abs().max() > 1e-2


def test_gradient_reaches_every_parameter_and_every_head_in_both_precisions(any_model, images):
    for bf16 in (False, True):
        any_model.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            output = any_model(images, torch.tensor([1, 2, 3, 4, 6, 7])).images
        assert output.dtype == torch.float32
        (output - images).square().mean().backward()
        for name, parameter in any_model.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name
            parts = parameter.grad if is_adapter(name) else parameter.grad[None]
            assert (parts != 0).flatten(1).any(1).all(), name


def test_an_untrained_length_uses_the_next_larger_head(tokenizer_of, images):
    model = tokenizer_of()
    ids, _ = model.encode(images)
    lengths = (3, 5)
    before = [model.decode(ids, torch.full((6,), k)) for k in lengths]
    with torch.no_grad():
        for name, parameter in model.decoder.named_parameters():
            if is_adapter(name):
                parameter[1].zero_()  # the head of budgets 3 and 4
    after = [model.decode(ids, torch.full((6,), k)) for k in lengths]
    assert (after[0] - before[0]).abs().max() > 1e-2
    torch.testing.assert_close(after[1], before[1], **ROOMY)


@pytest.mark.parametrize("adapters", ADAPTERS[1:])
def test_a_shared_set_serves_every_budget(tokenizer_of, adapters):
    model = tokenizer_of(**DECODERS[f"shared-{adapters}"])
    codes, kept = torch.rand(6, 7, 4) * 2 - 1, torch.tensor([2, 4, 7, 2, 4, 7])
    before = model.decode_codes(codes, kept)
    ups = [p for name, p in model.named_parameters() if name.endswith(".up")]
    # The smaller sides are 4 (the embedding) and 16.
    assert {p.shape[0] for p in ups} == {1}
    assert {p.shape[2] for p in ups} == ({2} if adapters == "shared" else {4, 6})
    with torch.no_grad():
        for parameter in ups:
            parameter.zero_()
    assert ((model.decode_codes(codes, kept) - before).abs().amax((1, 2, 3)) > 1e-2).all()


@pytest.mark.parametrize(
    ("layer", "places"),
    [("embed", 1), ("qkv", 2), ("out", 2), ("expand", 2), ("contract", 2), ("pixels", 1)],
)
def test_only_the_named_layers_of_the_decoder_carry_adapters(tokenizer_of, images, layer, places):
    model = tokenizer_of(lora=LoRA(rank=2, layers=(layer,)))
    names = [name for name in model.state_dict() if is_adapter(name)]
    assert len(names) == 2 * places
    assert all(name.startswith("decoder.") and f".{layer}." in name for name in names)
    assert model(images, torch.tensor([1, 2, 3, 4, 6, 7])).images.shape == images.shape


def test_adapters_are_all_that_heads_add(tokenizer_of):
    with_heads, without = tokenizer_of(), tokenizer_of(lora=LoRA(rank=0))
    names = {name for name in with_heads.state_dict() if not is_adapter(name)}
    assert names == set(without.state_dict())
    assert not any(is_adapter(name) for name in without.state_dict())


@pytest.mark.parametrize("outside", [0, 8])
def test_a_budget_outside_the_tokenizer_is_refused(model, outside):
    with pytest.raises(ValueError, match=r"1\.\.7"):
        model.decode_codes(torch.zeros(1, 7, 4), torch.tensor([outside]))
    with pytest.raises(ValueError, match=r"1\.\.7"):
        model.merged_decoder(outside)


def test_codes_shorter_than_a_prefix_are_refused(any_model):
    dimension = any_model.quantizer.dimension
    kept = torch.tensor([2, 4, 1])
    assert any_model.decode_codes(torch.zeros(3, 4, dimension), kept).shape == (3, 3, 16, 16)
    with pytest.raises(ValueError, match="3 tokens given, 4 to be kept"):
        any_model.decode_codes(torch.zeros(3, 3, dimension), kept)


def test_gradient_reaches_the_heads_of_the_batch_the_encoder_and_the_quantizer(
    tokenizer_of, images
):
    model = tokenizer_of()
    output = model(images, torch.tensor([1, 2, 7, 7, 6, 2])).images
    (output - images).square().mean().backward()
    ups = [p for name, p in model.decoder.named_parameters() if name.endswith(".up")]
    assert len(ups) == 4 * 2 + 2  # four layers of each block, embedding and pixels
    for parameter in ups:
        assert (parameter.grad.abs().sum((1, 2)) > 0).tolist() == [True, False, True]
    for parameter in (model.encoder.embed.weight, model.quantizer.project.weight):
        assert parameter.grad.abs().sum() > 0
    assert (model.encoder.queries.grad.abs().sum(-1) > 0).all()


def test_one_budget_makes_a_fixed_length_tokenizer(tokenizer_of, images):
    model = tokenizer_of(budgets=(4,), lora=LoRA(rank=0))
    result = model(images, torch.full((6,), 4))
    output, quantized = result.images, result.quantized
    assert quantized.ids.shape == (6, 4)
    torch.testing.assert_close(model.decoder(quantized.codes), output, **ROOMY)


def test_calibration_makes_codes_depend_on_the_image(tokenizer_of, images):
    model = tokenizer_of()
    alike = 0.5 + 0.05 * (images - 0.5)
    before, _ = model.encode(alike)
    quantizer = model.quantizer
    quantizer.project.calibrate(model.encoder(alike), spread=quantizer.calibrated_spread)
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
