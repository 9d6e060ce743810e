"""Cells with an allocator, from the suite's file to the record."""

import json
import math
import shutil

import numpy as np
import pandas as pd
import pytest
from small_suites import suite

from bench.allocators.allocation import (
    agnostic_curve,
    allocation_skill,
    expected_skill,
    oracle_curve,
)
from bench.artifacts.bank import Bank
from bench.artifacts.gallery import Gallery
from bench.errors import UserError
from bench.stages import evaluation

BUDGETS = np.array([1, 2, 4])
SUITE = """
suite: allocators
question: Which allocator?
base:
  data: {kind: fluent_scenes, resolution: 32, train: 64, validation: 32, calibration: 24}
  tokenizer: {<<: *tokenizer, quantizer: {kind: fsq, levels: [5, 5]}, lora: {rank: 0}}
  training: {steps: 40, batch: 8, learning_rate: 1.0e-2, warmup_steps: 5, log_every: 20}
  bank:
    {budgets: [1, 2, 3, 4], extractor_resolution: 32, policy_images: 48, batch: 16, shard: 32}
arms:
  - name: by
    sweep:
      allocator:
        - {kind: agnostic, mean_budget: 2.5}
        - {kind: oracle, mean_budget: 2.5}
        - {kind: png_size, mean_budget: 2.5}
        - {kind: codebook_entropy, mean_budget: 2.5, prefix: 2}
        - {kind: threshold, search: scan, mean_budget: 2.5}
        - {kind: threshold, search: bisection, distortion: 0.044}
        - {kind: png_size, mean_budget: 2.5, candidates: [1, 3, 4]}
  - name: with heuristics
    set:
      evaluation.heuristics: true
      policy: {candidates: [1, 2, 4], steps: 30, batch: 16}
      policy.weighting: {kind: constraint, mean_budget: 2}
"""
ORACLE = "by: oracle mean_budget 2.5"
PNG = "by: png_size mean_budget 2.5"


@pytest.fixture(scope="module")
def finished(finish):
    return finish(suite(SUITE))


@pytest.fixture(scope="module")
def bank(finished):
    return Bank.read(finished.artifact(ORACLE, "bank"))


@pytest.fixture(scope="module")
def mse(bank):
    """At the trained lengths."""
    return bank.per_budget("mse")[:, [0, 1, 3]]


@pytest.fixture
def lean(bank, tmp_path):
    """A copy of the bank without Lite0, so that no distance has to be computed."""
    folder = shutil.copytree(bank.path, tmp_path / "lean")
    (folder / "bank.json").write_text(json.dumps({**bank.about, "extractors": {}}))
    return folder


def labels(finished):
    return [record.label for record in finished.result.records]


def picked_of(finished, label, candidates=BUDGETS):
    table = pd.read_parquet(finished.store.root / finished.record(label).images)
    return np.searchsorted(candidates, table["budget"])


def test_all_of_them_run(finished):
    assert finished.result.failed == []
    kinds = [record.allocator for record in finished.result.records]
    assert kinds == [
        *("agnostic", "oracle", "png_size", "codebook_entropy"),
        *("threshold", "threshold", "png_size", "policy"),
    ]


def test_each_is_judged_on_its_own_budgets(finished, bank):
    for record in (one.plain() for one in finished.result.records):
        table = pd.read_parquet(finished.store.root / record["images"])
        assert len(table) == 32
        assert record["images"] == f"evaluation/{record['stages'][-1]['key']}/images.parquet"
        metrics = record["metrics"]
        assert metrics["mean_tokens"] == pytest.approx(table["budget"].mean())
        for name in ("mse", "psnr", "perceptual"):
            assert metrics[name] == pytest.approx(table[name].mean(), rel=1e-6)
        assert {"id", "sha256"} <= {*table.columns}
        assert {"fd_lite0", "kid_lite0", "bits", "encoder_passes", "untrained_share"} <= {*metrics}
        assert sum(v for k, v in metrics.items() if k.startswith("share/")) == pytest.approx(1)


def test_candidates_default_to_what_was_trained(finished):
    shares = [k for k in finished.content(PNG)["metrics"] if k.startswith("share/")]
    assert shares == ["share/tokens_1", "share/tokens_2", "share/tokens_4"]
    (other,) = (label for label in labels(finished) if "candidates" in label)
    shares = [k for k in finished.content(other)["metrics"] if k.startswith("share/")]
    assert shares == ["share/tokens_1", "share/tokens_3", "share/tokens_4"]


def test_the_oracle_has_skill_one_and_the_mixture_none(finished, mse):
    agnostic = finished.content("by: agnostic mean_budget 2.5")
    assert agnostic["metrics"]["allocation_skill"] == pytest.approx(0, abs=1e-9)
    oracle = finished.content(ORACLE)
    picked = picked_of(finished, ORACLE)
    assert oracle["metrics"]["mse"] == pytest.approx(
        oracle_curve(mse, BUDGETS).at(BUDGETS[picked].mean()), rel=1e-6
    )
    assert oracle["metrics"]["allocation_skill"] == pytest.approx(1, abs=1e-6)


def test_every_allocation_is_shown_with_its_controls(finished, mse):
    for record in (one.plain() for one in finished.result.records):
        controls, metrics = record["controls"], record["metrics"]
        assert list(controls)[:4] == ["fixed", "agnostic", "shuffled", "oracle"]
        assert controls["shuffled"]["mean_tokens"] == metrics["mean_tokens"]
        for name in ("fixed", "agnostic", "oracle"):
            assert controls[name]["mean_tokens"] == pytest.approx(metrics["mean_tokens"], abs=0.1)
        assert (controls["shuffled"]["encoder_passes"], controls["oracle"]["decoder_passes"]) == (
            1,
            3,
        )


def test_the_shuffled_controls_skill_is_in_expectation(finished, mse):
    record = finished.content(PNG)
    shuffled = record["controls"]["shuffled"]
    expected = expected_skill(mse, BUDGETS, picked_of(finished, PNG))
    assert shuffled["allocation_skill"] == pytest.approx(expected, rel=1e-5)
    assert shuffled["allocation_skill"] <= 1e-9
    tokens = shuffled["mean_tokens"]
    agnostic = agnostic_curve(mse, BUDGETS).at(tokens)
    drawn = (agnostic - shuffled["mse"]) / (agnostic - oracle_curve(mse, BUDGETS).at(tokens))
    assert drawn != pytest.approx(expected, rel=1e-3)  # its errors are those of one draw


HEURISTICS = [
    "png_size",
    "edge_density",
    "codebook_entropy",
    "threshold_scan",
    "threshold_bisection",
]


def test_heuristics_are_controls_where_asked_for(finished, bank):
    record = finished.content("with heuristics")
    assert list(record["controls"])[4:] == HEURISTICS
    assert len(finished.content(PNG)["controls"]) == 4
    for name in HEURISTICS:
        control = record["controls"][name]
        assert 1 <= control["mean_tokens"] <= 4
        assert {"mse", "fd_lite0", "allocation_skill", "encoder_passes"} <= {*control}
    assert record["controls"]["threshold_scan"]["threshold"] > 0
    assert record["controls"]["threshold_scan"]["decoder_passes"] > 0
    assert record["controls"]["png_size"]["decoder_passes"] == 0


def test_a_mean_budget_is_met_on_the_calibration_images(finished, context):
    """Judged on the calibration images themselves, the mean is what was asked for."""
    calibration = finished.artifact(PNG, "calibration")
    validation = finished.artifact(PNG, "bank")
    inputs = {
        "bank": _measured(calibration, validation, finished),
        "images": finished.artifact(PNG, "calibration_images"),
    }
    result = evaluation.run(context(PNG, "", of=finished, inputs=inputs))
    assert result["metrics"]["mean_tokens"] == pytest.approx(2.5, abs=3 / 24)


def _measured(bank, like, finished):
    """A policy's bank with what only a bank for evaluation tells."""
    folder = shutil.copytree(bank, finished.store.root / "measured", dirs_exist_ok=True)
    about = json.loads((folder / "bank.json").read_text())
    throughput = json.loads((like / "bank.json").read_text())["throughput"]
    (folder / "bank.json").write_text(
        json.dumps({**about, "throughput": throughput, "extractors": {}})
    )
    return folder


def test_a_threshold_that_is_given_is_kept(finished, mse):
    (label,) = (label for label in labels(finished) if "distortion 0.044" in label)
    record = finished.content(label)
    assert record["metrics"]["threshold"] == 0.044
    picked = picked_of(finished, label)
    assert {*picked} == {0, 2}
    rows = np.arange(len(mse))
    assert ((mse[rows, picked] <= 0.044) | (picked == 2)).all()
    assert record["metrics"]["decoder_passes"] == pytest.approx(
        np.mean([2 if middle <= 0.044 else 1 for middle in mse[:, 1]])
    )


def test_without_nesting_a_search_encodes_for_every_probe(finished, context, lean):
    label = "by: threshold search scan mean_budget 2.5"

    def metrics(nested):
        about = json.loads((lean / "bank.json").read_text())
        (lean / "bank.json").write_text(json.dumps({**about, "nested": nested}))
        return evaluation.run(context(label, "", of=finished, inputs={"bank": lean}))["metrics"]

    nested, told = metrics(True), metrics(False)
    assert nested["encoder_passes"] == 1
    assert told["encoder_passes"] >= told["decoder_passes"] > 0
    assert told["mse"] == nested["mse"]


def own_config(**changes):
    return {"allocator": {"kind": "own", "target": 0.1, "candidates": None, **changes}}


@pytest.fixture
def halting(lean, mse, monkeypatch):
    """The bank of a tokenizer that halts by itself, at 2 or 3 tokens; worse than the mixtures.

    The tokenizer beside it cannot, so it shows no images.
    """
    empty = Gallery(np.empty((0, 2, 32, 32, 3), np.uint8), ("original", "chosen budget"), ())
    monkeypatch.setattr(evaluation, "own_gallery", lambda *given, **how: empty)

    def halting(tokens=(2, 3)):
        count = len(mse)
        arrays = {
            "own_tokens": np.resize(np.array(tokens), count)[:, None],
            "own_mse": np.full((count, 1), 0.5, dtype=np.float32),
        }
        about = json.loads((lean / "bank.json").read_text())
        for name, values in arrays.items():
            np.save(lean / f"{name}.npy", values)
        names = sorted({*about["arrays"], *arrays})
        about |= {"own_targets": [0.1], "arrays": names}
        (lean / "bank.json").write_text(json.dumps(about))
        return lean

    return halting


def test_a_tokenizers_own_allocation_is_set_against_mixtures_of_its_budgets(
    finished, context, halting, mse
):
    inputs = {"bank": halting()}
    run = context(ORACLE, "", of=finished, inputs=inputs, config=own_config())
    result = evaluation.run(run)
    metrics = result["metrics"]
    assert result["allocator"] == "own"
    assert (metrics["mean_tokens"], metrics["mse"]) == (2.5, 0.5)
    assert (metrics["encoder_passes"], metrics["decoder_passes"]) == (1, 0)
    assert metrics["bits"] == pytest.approx(2.5 * math.log2(25) + 2)
    agnostic, oracle = (curve(mse, BUDGETS).at(2.5) for curve in (agnostic_curve, oracle_curve))
    assert metrics["allocation_skill"] == pytest.approx((agnostic - 0.5) / (agnostic - oracle))
    assert list(result["controls"]) == ["fixed", "agnostic", "oracle"]
    for control in result["controls"].values():
        assert control["mean_tokens"] == pytest.approx(2.5, abs=0.1)
    table = pd.read_parquet(run.work / "images.parquet")
    assert table["budget"].tolist() == [2, 3] * 16
    assert set(table["mse"]) == {0.5}


def test_lengths_below_every_budget_have_nothing_to_be_set_against(finished, context, halting):
    inputs = {"bank": halting((1, 2))}
    config = own_config(candidates=[2, 4])
    result = evaluation.run(context(ORACLE, "", of=finished, inputs=inputs, config=config))
    assert math.isnan(result["metrics"]["allocation_skill"])
    assert result["controls"] == {}


def test_a_tokenizer_that_does_not_halt_is_refused(finished, context, lean):
    with pytest.raises(UserError, match=r"allocator\.kind: own: this tokenizer does not halt"):
        evaluation.run(context(ORACLE, "", of=finished, inputs={"bank": lean}, config=own_config()))


def test_too_few_trained_budgets_are_refused(finished, context, lean):
    about = json.loads((lean / "bank.json").read_text())
    trained = [False, False, False, True]
    (lean / "bank.json").write_text(json.dumps({**about, "trained": trained}))
    with pytest.raises(UserError, match=r"allocator\.candidates: 1 of the bank's budgets"):
        evaluation.run(context(ORACLE, "", of=finished, inputs={"bank": lean}))


def test_skill_is_that_of_the_budgets_given(finished, mse):
    for label in (PNG, "by: codebook_entropy mean_budget 2.5 prefix 2"):
        expected = allocation_skill(mse, BUDGETS, picked_of(finished, label))
        found = finished.content(label)["metrics"]["allocation_skill"]
        assert found == pytest.approx(expected, rel=1e-5)
