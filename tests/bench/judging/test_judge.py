import json
import os
from dataclasses import replace

import numpy as np
import pytest
import torch

from bench.artifacts.bank import Bank
from bench.errors import UserError
from bench.judging.judge import Judge
from bench.metrics.frechet import frechet_distance, gaussian_statistics
from bench.metrics.generative import inception_score, precision_recall
from bench.metrics.infinite import frechet_infinite
from bench.metrics.kernel.distance import KernelReference
from bench.metrics.kernel.interval import kernel_interval
from bench.metrics.weight_files import WeightFile

N, BUDGETS, D = 40, [1, 2, 4], 6
NAMES = {"lite0": ("fd_lite0", "kid_lite0"), "lite1": ("fd_lite1", "kid_lite1")}
NAMES |= {"inception": ("rfid", "kid")}


@pytest.fixture
def bank(tmp_path):
    """A bank of random features of every extractor."""
    rng = np.random.default_rng(0)
    arrays = {"mse": rng.random((N, 3)), "ssim": rng.random((N, 3))}
    for name in NAMES:
        originals = rng.standard_normal((N, D))
        arrays[f"{name}_originals"] = originals
        arrays[name] = originals[:, None] + rng.standard_normal((N, 3, D)) / [[1], [2], [4]]
    for name, values in arrays.items():
        np.save(tmp_path / f"{name}.npy", values.astype(np.float32))
    about = {
        "budgets": BUDGETS,
        "arrays": sorted(arrays),
        "images": {"count": N},
        "extractors": {name: {"weights_sha256": "0"} for name in NAMES},
    }
    (tmp_path / "bank.json").write_text(json.dumps(about))
    return Bank.read(tmp_path)


@pytest.fixture
def chosen():
    return np.random.default_rng(1).integers(3, size=N)


def test_reference_sides_are_shared_until_the_bank_or_the_question_is_another(bank, chosen):
    first = Judge(bank)
    assert first.references["lite0"] is Judge(bank).references["lite0"]
    assert first.references["lite0"] is not first.references["lite1"]
    assert first.references["lite0"] is not Judge(bank, kid_subset=20).references["lite0"]
    before = first.metrics(chosen)["fd_lite0"]
    path = bank.path / "lite0_originals.npy"
    written = path.stat().st_mtime_ns
    np.save(path, np.load(path) + 1)
    os.utime(path, ns=(written + 1, written + 1))
    assert Judge(bank).metrics(chosen)["fd_lite0"] > before + 1


def test_metrics_of_an_allocation(bank, chosen):
    rows = np.arange(N)
    metrics = Judge(bank).metrics(chosen)
    assert metrics["mean_tokens"] == np.array(BUDGETS)[chosen].mean()
    for name in ("mse", "ssim"):
        expected = bank.per_budget(name)[rows, chosen].mean()
        assert metrics[name] == pytest.approx(expected, rel=1e-12)
    for name, (frechet, kernel) in NAMES.items():
        originals, features = bank.array(f"{name}_originals"), bank.array(name)[rows, chosen]
        expected = frechet_distance(*map(gaussian_statistics, (originals, features)))
        assert metrics[frechet] == pytest.approx(expected, rel=1e-8)
        assert metrics[kernel] == KernelReference(originals).distance(features)
        interval = kernel_interval(originals, features)
        assert metrics[f"{kernel}_low"] == interval.low < interval.high == metrics[f"{kernel}_high"]


def test_controls_go_without_kernel_distances(bank, chosen):
    judge = Judge(bank)
    without, whole = judge.metrics(chosen, kernel=False), judge.metrics(chosen)
    assert without == pytest.approx({n: v for n, v in whole.items() if not n.startswith("kid")})
    assert not [name for name in without if "kid" in name]


def test_extrapolations_where_there_are_images_enough(bank, chosen):
    judge = Judge(bank)
    features = judge.features(chosen)
    details = judge.details(features)
    assert set(details) == {
        f"{frechet}{tail}"
        for frechet, _ in NAMES.values()
        for tail in ("_infinite", "_infinite_se")
    }
    line = frechet_infinite(bank.array("lite1_originals"), features["lite1"])
    assert details["fd_lite1_infinite"] == line.intercept
    assert details["fd_lite1_infinite_se"] == line.standard_error
    wide = np.zeros((N, N))
    assert Judge(bank).details({"lite0": wide}) == {}


@pytest.fixture
def inception(bank, inception_weights, inception_sha256):
    """The bank with Inception's features of the right width."""
    rng = np.random.default_rng(2)
    originals = rng.random((N, 2048), np.float32)
    np.save(bank.path / "inception_originals.npy", originals)
    np.save(bank.path / "inception.npy", rng.random((N, 3, 2048), np.float32))
    card = {"weights_sha256": inception_sha256}
    return replace(bank, about={**bank.about, "extractors": {"inception": card}})


def test_scores_use_inceptions_last_layer(inception, inception_weights, inception_file, chosen):
    judge = Judge(inception, generative=True, weights=inception_file)
    features = judge.features(chosen)
    details = judge.details(features)
    layer = torch.load(inception_weights, weights_only=True)["fc.weight"].numpy()
    expected = inception_score(features["inception"] @ layer.T)
    assert details["isc"] == pytest.approx(expected, rel=1e-6)
    scores = precision_recall(features["inception"], inception.array("inception_originals"))
    assert (details["precision"], details["recall"]) == scores


def test_scores_need_the_file_that_the_features_are_from(inception, inception_weights, chosen):
    features = {"inception": inception.features("inception", chosen)}
    with pytest.raises(UserError, match=r"bank\.inception_weights: missing"):
        Judge(inception, generative=True).details(features)
    other = {"inception": WeightFile(str(inception_weights), "0" * 64)}
    with pytest.raises(UserError, match="begins with"):
        Judge(inception, generative=True, weights=other).details(features)


def test_what_estimates_are_taken_by_is_told(bank):
    blocks = [Judge(bank, kid_subset=s).estimators["kid_interval"] for s in (None, 20)]
    assert blocks == [{"images_per_block": size, "level": 0.95} for size in (4, 20)]
    with pytest.raises(ValueError, match="two blocks of 21"):
        _ = Judge(bank, kid_subset=21).estimators
