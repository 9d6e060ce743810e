import numpy as np
import pytest
import torch

from adatok_core.tokenizer import to_float, to_uint8
from bench.artifacts.bank import Bank
from bench.artifacts.networks import load_tokenizer
from bench.data.image_set import read_image_set
from bench.errors import UserError
from bench.metrics.extraction import build_extractors
from bench.metrics.networks.inception import InceptionExtractor
from bench.metrics.networks.lite import Lite1
from bench.metrics.networks.lpips import Lpips
from bench.metrics.weight_files import WeightFile, weights_to_runtime
from bench.stages import bank, data

EVALUATION = ("elastic", "bank")


@pytest.fixture(scope="module")
def evaluation(small_run):
    return Bank.read(small_run.artifact(*EVALUATION))


def test_with_inceptions_weights_its_features_are_kept(small_run, context, inception_file):
    few = context("elastic", "bank/images", config={"count": 2}, work="few")
    data.run(few)
    stage = context(
        "fixed_at_mean",
        "bank",
        inputs={"images": few.work},
        runtime=weights_to_runtime(inception_file),
    )
    bank.run(stage)
    made = Bank.read(stage.work)
    assert made.extractors == ["lite0", "inception"]
    extractor = InceptionExtractor(inception_file["inception"])
    assert made.about["extractors"]["inception"] == {
        "weights_sha256": extractor.weights_sha256,
        "layer": "pooled 2048",
        "input_px": 299,
    }
    original = torch.from_numpy(np.array(read_image_set(few.work).pixels))
    features = extractor.features(original).numpy()
    np.testing.assert_allclose(made.array("inception_originals"), features, rtol=1e-3, atol=1e-4)
    tokenizer = load_tokenizer(small_run.artifact("fixed_at_mean", "bank/tokenizer"))
    budget = tokenizer.config.budgets[0]
    with torch.inference_mode():
        ids, _ = tokenizer.encode(to_float(original))
        decoded = to_uint8(tokenizer.decode(ids, torch.full((2,), budget)))
    np.testing.assert_allclose(
        made.array("inception")[:, 0], extractor.features(decoded).numpy(), rtol=1e-2, atol=1e-3
    )
    assert made.array("perceptual").shape == (2, 1)


def test_a_missing_weight_file_is_bad_input(context):
    runtime = weights_to_runtime({"inception": WeightFile("/nowhere/w.pth", "6726825d")})
    with pytest.raises(UserError, match=r"/nowhere/w\.pth"):
        bank.run(context(*EVALUATION, runtime=runtime))
    assert len(build_extractors(resolution=32, device="cpu")) == 1


def test_a_weight_file_that_has_changed_is_refused(context, inception_weights):
    planned = {"inception": WeightFile(str(inception_weights), "6726825d" + 56 * "0")}
    with pytest.raises(UserError, match="begins with"):
        bank.run(context(*EVALUATION, runtime=weights_to_runtime(planned)))


def test_lpips_is_a_distance_per_image_and_budget_without_features(small_run, context, lpips_files):
    few = context("elastic", "bank/images", config={"count": 2}, work="few")
    data.run(few)
    stage = context(
        "fixed_at_mean",
        "bank",
        inputs={"images": few.work},
        config={"extractors": ["lpips"]},
        runtime=weights_to_runtime(lpips_files),
    )
    bank.run(stage)
    made = Bank.read(stage.work)
    assert made.extractors == ["lite0"]
    assert made.about["extractors"]["lpips"]["weights_sha256"] == {
        name: file.sha256 for name, file in lpips_files.items()
    }
    assert not (stage.work / "lpips_originals.npy").exists()
    assert "lpips" in made.measured
    original = torch.from_numpy(np.array(read_image_set(few.work).pixels))
    tokenizer = load_tokenizer(small_run.artifact("fixed_at_mean", "bank/tokenizer"))
    with torch.inference_mode():
        ids, _ = tokenizer.encode(to_float(original))
        budgets = torch.full((2,), tokenizer.config.budgets[0])
        decoded = to_uint8(tokenizer.decode(ids, budgets))
    expected = Lpips(lpips_files).distances(original, [decoded])
    np.testing.assert_allclose(made.array("lpips"), expected.numpy(), rtol=1e-2)
    assert (made.table()["lpips"] > 0).all()


def test_a_second_extractor_gives_features_and_no_distances(small_run, context, evaluation):
    stage = context(*EVALUATION, config={"second_extractor": True})
    bank.run(stage)
    made = Bank.read(stage.work)
    assert made.extractors == ["lite0", "lite1"]
    assert made.about["extractors"]["lite0"] == evaluation.about["extractors"]["lite0"]
    np.testing.assert_array_equal(made.array("perceptual"), evaluation.array("perceptual"))
    pixels = read_image_set(small_run.artifact("elastic", "bank/images")).pixels
    with torch.inference_mode():
        expected, _ = Lite1(32).forward_features(torch.from_numpy(np.array(pixels)))
    np.testing.assert_allclose(made.array("lite1_originals"), expected, rtol=1e-3, atol=1e-3)
    assert made.array("lite1").shape == (24, 3, 1280)
