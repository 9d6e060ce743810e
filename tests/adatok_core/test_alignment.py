import pytest
import torch
from torch.nn import functional as F

from adatok_core.alignment import FirstLayer, alignment_losses
from adatok_core.config import Distillation, LengthSampling

KEPT = torch.tensor([7, 7, 7, 7, 7, 7, 4, 1, 7, 3, 2, 6])
PATCHES = 16


@pytest.mark.parametrize("tail", ["hidden", "dropped", "mask_vector"])
def test_features_are_those_of_each_image_alone(tokenizer_of, images, tail):
    model = tokenizer_of(tail=tail)
    blocks, first = [], FirstLayer(model)
    model.decoder.transformer.blocks[0].register_forward_hook(lambda _, __, y: blocks.append(y))
    with torch.no_grad():
        codes = model(images, KEPT).quantized.codes
        features = first.take(KEPT)
        assert features.shape == (12, PATCHES + 1, 16)
        for place, kept in enumerate(KEPT):
            model.decode_codes(codes[place % 6][None, :kept], kept[None])
            alone = blocks[-1]
            torch.testing.assert_close(features[place, :-1], alone[0, :PATCHES])
            mean = alone[0, PATCHES : PATCHES + kept].mean(0)
            torch.testing.assert_close(features[place, -1], mean)
            first.take(kept[None])


def tensors(*shape):
    generator = torch.Generator().manual_seed(len(shape))
    return torch.randn(3, 2, *shape, generator=generator).requires_grad_()


OUTPUT, FEATURES = tensors(3, 4, 4), tensors(5, 8)


@pytest.mark.parametrize(
    ("options", "name", "values", "distance"),
    [
        (
            {"distillation": Distillation()},
            "distillation_loss",
            OUTPUT,
            lambda a, b: (a - b).abs().mean(),
        ),
        (
            {"distillation": Distillation(of="features")},
            "distillation_loss",
            FEATURES,
            lambda a, b: (a - b)[:, :4].square().mean(),
        ),
        (
            {"self_alignment": 0.1},
            "alignment_loss",
            FEATURES,
            lambda a, b: 1 - F.cosine_similarity(a, b, dim=-1).mean(),
        ),
    ],
)
def test_prefixes_are_drawn_towards_the_full_length_which_is_not_moved(
    options, name, values, distance
):
    config = LengthSampling(decodes="sandwich", **options)
    features = FEATURES.flatten(0, 1) if config.aligns_features else None
    losses = alignment_losses(OUTPUT.flatten(0, 1), features, config=config, pixel_loss="l1")
    assert losses.keys() == {name}
    full, *prefixes = values
    expected = sum(distance(prefix, full) for prefix in prefixes) / 3
    assert losses[name].item() == pytest.approx(expected.item(), rel=1e-5)
    (gradient,) = torch.autograd.grad(losses[name], values)
    assert gradient[0].abs().max() == 0
    assert gradient[1].abs().max() > 0
    assert gradient[2].abs().max() > 0


def test_without_a_setting_there_is_no_such_loss():
    config = LengthSampling(decodes="sandwich")
    assert not config.aligns_features
    assert alignment_losses(OUTPUT.flatten(0, 1), None, config=config, pixel_loss="l2") == {}
