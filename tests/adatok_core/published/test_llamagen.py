import argparse

import pytest
import torch
from torch.nn import functional as F

from adatok_core.published.llamagen import llamagen


@pytest.fixture
def tensors(filled, layouts):
    return filled(layouts["llamagen"]())


@pytest.mark.parametrize(("multipliers", "factor"), [((1, 2), 2), ((1, 1, 2), 4)])
def test_levels_channels_and_codes_follow_from_the_file(
    filled, layouts, saved, images, multipliers, factor
):
    tensors = filled(layouts["llamagen"](multipliers=multipliers))
    model = llamagen(saved({"model": tensors, "steps": 3}, "w.pt"), resolution=16)
    assert model.describe() == {
        "name": f"LlamaGen-VQ-{factor}",
        "resolution": 16,
        "max_tokens": (16 // factor) ** 2,
        "codebook_size": 24,
        "nested": False,
        "range": [-1.0, 1.0],
        "rounding": "nearest",
        "parameters": sum(
            values.numel() for name, values in tensors.items() if "codebook_used" not in name
        ),
        "encoder_parameters": sum(
            values.numel()
            for name, values in tensors.items()
            if name.startswith(("encoder.", "quant_conv."))
        ),
        "patch_size": factor,
        "arrays": "torch",
    }
    ids, latents = model.encode(images(16))
    assert latents.shape == (2, (16 // factor) ** 2, 4)
    codes = F.normalize(tensors["quantize.embedding.weight"], dim=-1)
    assert torch.equal(ids, (latents @ codes.T).argmax(-1))
    assert model.decode(ids).shape == (2, 3, 16, 16)


def test_the_resolution_is_any_multiple_of_the_downsampling(tensors, saved, images):
    path = saved(tensors)
    model = llamagen(path, resolution=32)
    ids, _ = model.encode(images(32))
    assert model.decode(ids).shape == (2, 3, 32, 32)
    with pytest.raises(ValueError, match="resolution: 15 px is no multiple of 2"):
        llamagen(path, resolution=15)


def test_unit_codes_can_be_switched_off(tensors, saved, images):
    model = llamagen(saved(tensors), resolution=16, l2_normalised=False)
    ids, latents = model.encode(images(16))
    distances = torch.cdist(latents, tensors["quantize.embedding.weight"])
    assert torch.equal(ids, distances.argmin(-1))


def test_averaged_weights_of_a_training_checkpoint_come_first(tensors, saved, images):
    other = {name: values * 0.5 for name, values in tensors.items()}
    namespace = argparse.Namespace(vq_model="VQ-16", lr=1e-4)
    nested = saved({"model": other, "ema": tensors, "args": namespace}, "training.pt")
    plain = llamagen(saved(tensors), resolution=16).encode(images(16))
    assert torch.equal(llamagen(nested, resolution=16).encode(images(16))[1], plain[1])


def test_bfloat16_is_near(tensors, saved, images):
    path = saved(tensors)
    exact, rough = (llamagen(path, resolution=16, dtype=d) for d in ("float32", "bfloat16"))
    ids, latents = exact.encode(images(16))
    assert 1e-4 < (rough.encode(images(16))[1] - latents).abs().max() < 0.1
    assert 1e-4 < (rough.decode(ids) - exact.decode(ids)).abs().max() < 0.1
