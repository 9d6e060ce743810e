import math

import numpy as np
import pytest
import torch

from adatok_core.config import ResidualVQ
from adatok_core.losses import perceptual_distance
from adatok_core.quantizers import build_quantizer
from adatok_core.tokenizer import to_float, to_uint8
from bench.artifacts.bank import Bank
from bench.artifacts.networks import load_tokenizer
from bench.data.image_set import read_image_set
from bench.metrics.networks.lite import Lite0
from bench.stages import bank, tokenizer
from bench.stages.banks.codebook import CodeCounts


def test_lengths_that_training_never_drew_are_flagged(method_run):
    cell = "policy: input pixels"
    for path in ("bank", "policy/bank"):
        made = Bank.read(method_run.artifact(cell, path))
        assert made.budgets.tolist() == [1, 2, 3, 4]
        assert made.about["trained"] == [True, True, False, True]
        assert made.array("mse").shape[1] == 4
    about = Bank.read(method_run.artifact(cell, "bank")).about
    assert list(about["throughput"]["decode_images_per_second"]) == ["1", "2", "3", "4"]
    assert Bank.read(method_run.artifact("plain", "bank")).about["budgets"] == [1, 2, 4]


def test_the_last_training_says_what_was_drawn(method_run, context):
    tuned = context(
        "heads",
        "bank/tokenizer",
        of=method_run,
        config={
            "training": {
                **method_run.spec("heads", "bank/tokenizer").config["training"],
                "steps": 6,
                "lengths": {"distribution": "all"},
            }
        },
        work="tuned",
    )
    tokenizer.run(tuned)
    stage = context(
        "policy: input pixels", "policy/bank", of=method_run, inputs={"tokenizer": tuned.work}
    )
    bank.run(stage)
    assert Bank.read(stage.work).about["trained"] == [True] * 4


def test_an_untrained_length_is_decoded_by_itself(method_run):
    cell = "policy: input pixels"
    made = Bank.read(method_run.artifact(cell, "bank"))
    model = load_tokenizer(method_run.artifact(cell, "tokenizer"))
    pixels = read_image_set(method_run.artifact(cell, "images")).pixels
    original = torch.from_numpy(np.array(pixels))
    ids = torch.from_numpy(np.array(made.array("ids"))).long()
    with torch.inference_mode():
        images = to_uint8(model.decode(ids, torch.full((len(ids),), 3)))
    error = (images.double() - original).square().mean((1, 2, 3)) / 255**2
    np.testing.assert_allclose(made.array("mse")[:, 2], error.numpy(), rtol=1e-3)
    assert not np.allclose(made.array("mse")[:, 2], made.array("mse")[:, 3], rtol=1e-3)


def test_a_policys_bank_measures_perceptual_distances_when_asked_to(method_run):
    cell = "policy: input quantized"
    made = Bank.read(method_run.artifact(cell, "policy/bank"))
    assert made.about["arrays"] == ["ids", "latents", "mse", "perceptual", "psnr", "ssim"]
    assert "perceptual" in made.table()
    model = load_tokenizer(method_run.artifact(cell, "tokenizer"))
    pixels = read_image_set(method_run.artifact(cell, "policy/bank/images")).pixels[:8]
    original = torch.from_numpy(np.array(pixels))
    network = Lite0(32)
    with torch.inference_mode():
        ids, _ = model.encode(to_float(original))
        decoded = to_uint8(model.decode(ids, torch.full((8,), 3)))
        _, (one, other) = zip(
            *(network.forward_features(image) for image in (original, decoded)), strict=True
        )
    expected = perceptual_distance(one, other).numpy()
    np.testing.assert_allclose(made.array("perceptual")[:8, 2], expected, rtol=1e-2)


def test_codebook_use_of_tokens_made_of_several_codes(method_run):
    """Usage is the mean over the two codebooks, entropy their sum."""
    quantizer = build_quantizer(4, ResidualVQ(entries=4, depth=2, dimension=3), tokens=2)
    # Ids are the first codebook's entry plus four times the second's.
    ids = torch.tensor([[0 + 4 * 1, 2], [1 + 4 * 1, 2], [2 + 4 * 1, 2], [3 + 4 * 1, 2]])
    counts = CodeCounts(quantizer.code_sizes, 2)
    counts.add(quantizer.parts(ids).numpy())
    assert counts.use() == {
        "usage": pytest.approx((4 / 4 + 2 / 4) / 2),
        # First: 2 five times of eight, the others once; second: 0 and 1 alike.
        "entropy_bits": pytest.approx(5 / 8 * math.log2(8 / 5) + 3 / 8 * 3 + 1),
        "usage_by_position": [pytest.approx((4 / 4 + 1 / 4) / 2), pytest.approx(1 / 4)],
        "entropy_bits_by_position": [pytest.approx(2), pytest.approx(0)],
    }
    about = Bank.read(method_run.artifact("plain", "bank")).about
    assert about["bits_per_token"] == 4
    assert about["codebook"]["entropy_bits"] <= 4


def test_ids_of_a_codebook_beyond_32_bits_are_kept_whole(small_run, context, tmp_path):
    training = small_run.spec("elastic", "bank/tokenizer").config
    huge = {**training["tokenizer"], "quantizer": {"kind": "lfq", "bits": 40}}
    made = context(
        "elastic",
        "bank/tokenizer",
        config={"tokenizer": huge, "training": {**training["training"], "steps": 6}},
        work="huge",
    )
    tokenizer.run(made)
    stage = context("policy: seed 0", "policy/bank", inputs={"tokenizer": made.work})
    bank.run(stage)
    stored = Bank.read(stage.work)
    ids = stored.array("ids")
    assert ids.dtype == np.int64
    assert ids.max() > 2**32
    pixels = read_image_set(small_run.artifact("policy: seed 0", "policy/bank/images")).pixels[:40]
    with torch.inference_mode():
        expected, _ = load_tokenizer(made.work).encode(to_float(torch.from_numpy(np.array(pixels))))
    assert (ids == expected.numpy()).mean() > 0.99  # rounding may turn a sign near zero
    assert stored.about["bits_per_token"] == 40
    assert stored.about["codebook"]["usage"] == len(np.unique(ids)) / 2**40
