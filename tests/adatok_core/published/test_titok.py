import itertools
import json

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

from adatok_core.published.titok import one_d_piece, titok


def plain_transformer(tensors, name, x):
    """Blocks of torch's own encoder layers, between the two norms of the file."""
    width = x.shape[-1]

    def normed(x, norm):
        return F.layer_norm(
            x, (width,), tensors[f"{name}.{norm}.weight"], tensors[f"{name}.{norm}.bias"]
        )

    x = normed(x, "ln_pre")
    for index in range(2):
        layer = nn.TransformerEncoderLayer(
            width, width // 64, 4 * width, activation="gelu", batch_first=True, norm_first=True
        ).eval()
        own = {
            key.removeprefix(f"{name}.transformer.{index}."): value
            for key, value in tensors.items()
            if key.startswith(f"{name}.transformer.{index}.")
        }
        renamed = (("attn.", "self_attn."), ("ln_", "norm"), ("mlp.c_fc", "linear1"))
        for old, new in (*renamed, ("mlp.c_proj", "linear2")):
            own = {key.replace(old, new): value for key, value in own.items()}
        layer.load_state_dict(own)
        x = layer(x)
    return normed(x, "ln_post")


def plain_latents(tensors, images, *, legacy):
    """Latents `[B, N, C]`, written down as in the paper."""
    batch = len(images)
    embedded = F.conv2d(
        images, tensors["encoder.patch_embed.weight"], tensors["encoder.patch_embed.bias"], 4
    )
    seen = torch.cat(
        (tensors["encoder.class_embedding"].expand(batch, 1, -1), embedded.flatten(2).mT), 1
    )
    queries = tensors["latent_tokens"] + tensors["encoder.latent_token_positional_embedding"]
    x = torch.cat(
        (seen + tensors["encoder.positional_embedding"], queries.expand(batch, -1, -1)), 1
    )
    x = plain_transformer(tensors, "encoder", x)[:, 17:]
    if legacy:
        x = x.reshape(batch, x.shape[2], x.shape[1]).mT
    weight = tensors["encoder.conv_out.weight"].flatten(1)
    return F.linear(x, weight, tensors["encoder.conv_out.bias"])


def plain_pixels(tensors, codes):
    """Pixels of a single-stage model for `codes [B, N, C]`."""
    batch = len(codes)
    masks = tensors["decoder.mask_token"].expand(batch, 16, -1)
    fixed = torch.cat((tensors["decoder.class_embedding"].expand(batch, 1, -1), masks), 1)
    latents = F.linear(
        codes, tensors["decoder.decoder_embed.weight"], tensors["decoder.decoder_embed.bias"]
    )
    latents = latents + tensors["decoder.latent_token_positional_embedding"]
    x = torch.cat((fixed + tensors["decoder.positional_embedding"], latents), 1)
    x = plain_transformer(tensors, "decoder", x)[:, 1:17].mT.reshape(batch, -1, 4, 4)
    x = F.conv2d(x, tensors["decoder.ffn.0.weight"], tensors["decoder.ffn.0.bias"])
    # Channels of a patch are rows, columns and colours; pixel shuffling wants the colours first.
    x = F.pixel_shuffle(x.unflatten(1, (16, 3)).transpose(1, 2).flatten(1, 2), 4)
    return F.conv2d(
        x, tensors["decoder.conv_out.weight"], tensors["decoder.conv_out.bias"], padding=1
    )


@pytest.fixture
def tensors(filled, layouts):
    return filled(layouts["titok"]())


@pytest.fixture
def single(filled, layouts):
    return filled(layouts["titok"](stages=1))


def test_a_single_stage_model_is_the_plain_computation(single, saved, images):
    model = titok(saved(single))
    ids, latents = model.encode(images(16))
    with torch.no_grad():
        expected = plain_latents(single, images(16), legacy=False)
        distances = torch.cdist(expected, single["quantize.embedding.weight"])
        pixels = plain_pixels(single, single["quantize.embedding.weight"][ids])
    torch.testing.assert_close(latents, expected, atol=2e-5, rtol=0)
    torch.testing.assert_close(ids, distances.argmin(-1))
    torch.testing.assert_close(model.decode(ids), pixels, atol=2e-5, rtol=0)


def test_two_stages_have_the_legacy_layout_and_unit_codes(tensors, saved, images):
    ids, latents = titok(saved(tensors)).encode(images(16))
    with torch.no_grad():
        expected = plain_latents(tensors, images(16), legacy=True)
    torch.testing.assert_close(latents, expected, atol=2e-5, rtol=0)
    codes = F.normalize(tensors["quantize.embedding.weight"], dim=-1)
    torch.testing.assert_close(ids, (expected @ codes.T).argmax(-1))


@pytest.mark.parametrize("by", ["argument", "config.json"])
def test_the_layout_and_unit_codes_can_be_told(tensors, saved, images, by):
    path = saved(tensors)
    told = {"legacy_reshape": False, "l2_normalised": False}
    if by == "config.json":
        settings = {"is_legacy": False, "use_l2_norm": False}
        content = {"model": {"vq_model": settings}}
        path.with_name("config.json").write_text(json.dumps(content))
        told = {}
    ids, latents = titok(path, **told).encode(images(16))
    with torch.no_grad():
        expected = plain_latents(tensors, images(16), legacy=False)
    torch.testing.assert_close(latents, expected, atol=2e-5, rtol=0)
    distances = torch.cdist(expected, tensors["quantize.embedding.weight"])
    torch.testing.assert_close(ids, distances.argmin(-1))


def test_describe_tells_what_the_file_holds(single, tensors, saved):
    assert titok(saved(single)).describe() == {
        "name": "TiTok-w64w128-6",
        "resolution": 16,
        "max_tokens": 6,
        "codebook_size": 32,
        "nested": False,
        "range": [0.0, 1.0],
        "rounding": "truncate",
        "parameters": sum(values.numel() for values in single.values()),
        "encoder_parameters": sum(
            values.numel()
            for name, values in single.items()
            if name.startswith("encoder") or name == "latent_tokens"
        ),
        "patch_size": 4,
        "arrays": "torch",
    }
    assert one_d_piece(saved(tensors)).describe()["nested"]


def test_prefixes_decode_where_nested_and_nowhere_else(tensors, saved, images):
    path = saved(tensors)
    model = one_d_piece(path)
    ids, _ = model.encode(images(16))
    decoded = [model.decode(ids[:, :k]) for k in range(1, 7)]
    assert {tuple(one.shape) for one in decoded} == {(2, 3, 16, 16)}
    assert all((a - b).abs().max() > 1e-4 for a, b in itertools.pairwise(decoded))
    torch.testing.assert_close(decoded[-1], titok(path).decode(ids))
    with pytest.raises(ValueError, match=r"TiTok-.*ids are \[2, 3\].* k 6"):
        titok(path).decode(ids[:, :3])
    for wrong, said in (
        (ids[:, :0], "k 1 to 6"),
        (ids.float(), "must be integers"),
        (ids + 32, "0 to 31"),
    ):
        with pytest.raises(ValueError, match=said):
            model.decode(wrong)


def test_images_of_another_size_or_type_are_refused(tensors, saved, images):
    model = titok(saved(tensors))
    for wrong in (images(32), images(16)[0], (images(16) * 255).byte()):
        with pytest.raises(ValueError, match=r"must be float \[B, 3, 16, 16\]"):
            model.encode(wrong)


@pytest.mark.parametrize("layout", ["theirs", "with prefix"])
def test_the_pixel_decoder_may_be_a_file_of_its_own(
    tensors, saved, images, filled, layout, layouts
):
    whole = titok(saved(tensors, "whole.bin"))
    ids, _ = whole.encode(images(16))
    own = {name: values for name, values in tensors.items() if not name.startswith("pixel_")}
    rest = {name: values for name, values in tensors.items() if name.startswith("pixel_")}
    if layout == "theirs":
        rest = {name.removeprefix("pixel_"): values for name, values in rest.items()}
        rest["encoder.conv_in.weight"] = torch.zeros(2)
    path = saved(own)
    with pytest.raises(ValueError, match="has no pixel decoder; give the file"):
        titok(path)
    parts = titok(path, pixel_decoder=saved(rest, "maskgit.bin"))
    assert torch.equal(parts.decode(ids), whole.decode(ids))
    assert parts.describe()["parameters"] == whole.describe()["parameters"]
    other = filled(layouts["maskgit"]("quantize", "decoder"))
    replaced = titok(saved(tensors, "whole.bin"), pixel_decoder=saved(other, "other.bin"))
    assert not torch.equal(replaced.decode(ids), whole.decode(ids))


@pytest.mark.parametrize("by", ["argument", "config.json"])
def test_the_nearest_pixel_codes_can_be_asked_for(tensors, saved, images, by):
    path = saved(tensors)
    mean = titok(path)
    if by == "config.json":
        content = {"model": {"vq_model": {"finetune_decoder": False}}}
        path.with_name("config.json").write_text(json.dumps(content))
    nearest = titok(path, pixel_codes="nearest" if by == "argument" else None)
    ids, _ = mean.encode(images(16))
    rows = mean.decoder(mean.codebook(ids))
    logits = mean.head.logits(rows)
    codes = tensors["pixel_quantize.embedding.weight"][logits.argmax(-1)].permute(0, 3, 1, 2)
    torch.testing.assert_close(nearest.decode(ids), mean.head.pixels(codes))
    assert (nearest.decode(ids) - mean.decode(ids)).abs().max() > 1e-2
    with pytest.raises(ValueError, match="pixel_codes: best is none of mean, nearest"):
        titok(path, pixel_codes="best")


def test_a_single_stage_model_refuses_what_it_has_no_use_for(single, saved):
    path = saved(single)
    for name, given in (("pixel_decoder", path), ("pixel_codes", "mean")):
        with pytest.raises(ValueError, match=f"gives pixels itself; leave {name} out"):
            titok(path, **{name: given})


def test_bfloat16_is_near_and_its_numbers_are_its_own(tensors, saved, images):
    path = saved(tensors)
    exact, rough = titok(path), titok(path, dtype="bfloat16")
    ids, latents = exact.encode(images(16))
    near = rough.encode(images(16))[1]
    assert near.dtype == torch.float32
    assert 1e-4 < (near - latents).abs().max() < 0.1
    assert 1e-4 < (rough.decode(ids) - exact.decode(ids)).abs().max() < 0.2
    with pytest.raises(ValueError, match="dtype: float16 is none of float32, bfloat16"):
        titok(path, dtype="float16")


def test_a_hugging_face_folder_loads(single, tmp_path, saved, images):
    save_file(single, tmp_path / "model.safetensors")
    settings = {"use_l2_norm": True}
    (tmp_path / "config.json").write_text(json.dumps({"model": {"vq_model": settings}}))
    told = titok(saved(single, "a.bin"), l2_normalised=True).encode(images(16))[0]
    assert torch.equal(titok(tmp_path).encode(images(16))[0], told)


def test_other_models_are_refused_by_name(single, saved):
    continuous = {name: v for name, v in single.items() if name != "quantize.embedding.weight"}
    with pytest.raises(ValueError, match="continuous latents has no ids"):
        titok(saved(continuous))
    guided = single | {"decoder.text_guidance_proj.weight": torch.zeros(2, 2)}
    with pytest.raises(ValueError, match=r"1 not known: decoder\.text_guid.*TA-TiTok"):
        titok(saved(guided))
    used = single | {"quantize.embed_prob": torch.zeros(32)}
    assert titok(saved(used)).describe() == titok(saved(single)).describe()
