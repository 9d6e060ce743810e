"""A metric and an extractor of another package, through the command line."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch

DECLARED = '''
"""Declarations, which import no torch."""
from bench.metrics.extractors import Extractor
from bench.metrics.feature_metrics import reconstruction_metrics, sample_metrics
from bench.metrics.metric import Metric
from bench.metrics.weight_files import Weights

MAE = Metric(
    name="mae",
    title="mean absolute error",
    listed=True,
    compared=9,
    packages=("outside",),
    measure="outside.measures:absolute_error",
)
COLOURS = Extractor(
    name="colours",
    network="outside.measures:Colours",
    packages=("outside",),
    reconstructions=reconstruction_metrics("colours", "Colours"),
    samples=sample_metrics("colours", "Colours"),
)
FACTOR = Weights(name="factor", file="factor.pth", source="its author")
SCALED = Extractor(
    name="scaled",
    network="outside.measures:Scaled",
    packages=("outside",),
    weights=(FACTOR,),
    perceptual=Metric(name="scaled_error", title="scaled error", listed=True),
)
'''
MEASURES = """
import torch
from torch.nn import functional as F
from bench.metrics.networks.state import read_state
from bench.metrics.weight_files import require_weights
from outside import FACTOR


def absolute_error(original, decoded):
    return (original.float() - decoded.float()).abs().flatten(1).mean(1) / 255


class Colours(torch.nn.Module):
    def __init__(self, settings):
        super().__init__()
        self.card = {"weights_sha256": "none", "layer": "mean colours", "input_px": 2}

    def features(self, images):
        return F.interpolate(images.float() / 255, (2, 2), mode="area").flatten(1)


class Scaled(torch.nn.Module):
    def __init__(self, settings):
        super().__init__()
        state, sha256 = read_state(FACTOR, require_weights(settings.weights, FACTOR))
        self.factor = state["factor"]
        self.card = {"weights_sha256": sha256, "layer": "pixels", "input_px": "as the images"}

    def distances(self, original, decoded):
        return torch.stack([self.factor * absolute_error(original, one) for one in decoded], 1)
"""
ENTRY_POINTS = """
[adatok_bench.metrics]
mae = outside:MAE

[adatok_bench.extractors]
colours = outside:COLOURS
scaled = outside:SCALED
"""
METADATA = "Metadata-Version: 2.1\nName: outside\nVersion: 1.2\n"

STEPS = {"steps": 10, "batch": 8, "warmup_steps": 2, "log_every": 5, "checkpoint_every": 10}
SUITE = {
    "suite": "outside",
    "question": "Does a package of its own reach tables?",
    "base": {
        "data": {"kind": "fluent_scenes", "resolution": 32, "train": 24, "validation": 30},
        "tokenizer": {
            "budgets": [1, 2],
            "width": 16,
            "encoder_depth": 1,
            "decoder_depth": 1,
            "attention_heads": 2,
            "quantizer": {"kind": "fsq", "levels": [5, 5]},
        },
        "training": STEPS,
        "bank": {
            "extractor_resolution": 32,
            "batch": 16,
            "extractors": ["colours", "scaled"],
            "metrics": ["mae"],
        },
    },
    "arms": [
        {"name": "plain"},
        {"name": "other", "set": {"training.learning_rate": 1.0e-2}},
        {
            "name": "samples",
            "set": {
                "generation": {
                    "generator": {"width": 16, "depth": 1, "attention_heads": 2},
                    "training": STEPS,
                    "budget": 2,
                    "images": 12,
                },
            },
        },
    ],
}


def with_bank(**settings):
    bank = {**SUITE["base"]["bank"], **settings}
    return {**SUITE, "base": {**SUITE["base"], "bank": bank}}


@pytest.fixture
def outside(tmp_path):
    """Install the package, and give `outside(*arguments)`: the command line beside it."""
    site = tmp_path / "site"
    for path, text in (
        ("outside/__init__.py", DECLARED),
        ("outside/measures.py", MEASURES),
        ("outside-1.2.dist-info/entry_points.txt", ENTRY_POINTS),
        ("outside-1.2.dist-info/METADATA", METADATA),
    ):
        (site / path).parent.mkdir(parents=True, exist_ok=True)
        (site / path).write_text(text)

    def outside(*arguments):
        command = [Path(sys.executable).with_name("adatok-bench"), *map(str, arguments)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(site)}
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)

    return outside


def test_a_metric_and_an_extractor_of_another_package_reach_record_and_tables(
    outside, write_suite, tmp_path
):
    file = tmp_path / "factor.pth"
    torch.save({"factor": torch.tensor(3.0)}, file)
    suite, store = write_suite(with_bank(weights={"factor": str(file)})), tmp_path / "store"
    answer = outside("run", suite, "--store", store, "--executor", "serial")
    assert answer.returncode == 0, answer.stderr
    records = [json.loads(path.read_text()) for path in (store / "records").rglob("*.json")]
    by_arm = {record["arm"]: record for record in records}

    plain = by_arm["plain"]
    assert [row["budget"] for row in plain["curve"] if row["mae"] > 0] == [1, 2]
    assert {"fd_colours", "kid_colours", "kid_colours_low", "fd_colours_infinite"} <= {
        *plain["metrics"]
    }
    assert "is_colours" not in plain["metrics"]
    assert plain["metrics"]["scaled_error"] == pytest.approx(3 * plain["metrics"]["mae"])
    assert "fd_scaled" not in plain["metrics"]
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    assert plain["protocol"]["extractors"]["scaled"]["weights_sha256"] == sha256
    images = pd.read_parquet(store / plain["images"])
    longest = images[images["budget"] == 2]["mae"]
    assert longest.mean() == pytest.approx(plain["metrics"]["mae"])
    assert plain["protocol"]["extractors"]["colours"]["layer"] == "mean colours"
    assert plain["protocol"]["versions"]["outside"] == "1.2"
    samples = by_arm["samples"]
    assert {"gfd_colours", "gfd_colours_reconstructions"} <= {*samples["metrics"]}
    assert "colours" in samples["protocol"]["extractors"]

    shown = outside("results", "outside", "--store", store).stdout.splitlines()
    assert {"mae", "fd_colours", "gfd_colours", "scaled_error"} <= {*shown[0].split()}
    answer = outside("compare", "outside:plain", "outside:other", "--store", store, "--json")
    rows = [row for row in json.loads(answer.stdout)["differences"] if row["metric"] == "mae"]
    assert [row["budget"] for row in rows] == [1, 2]
    assert all((row["over"], row["n"]) == ("images", 30) for row in rows)


def test_a_weight_file_that_is_not_given_is_asked_for(outside, write_suite, tmp_path):
    store = tmp_path / "store"
    answer = outside("run", write_suite(SUITE), "--store", store, "--executor", "serial")
    assert answer.returncode == 2
    (line,) = answer.stderr.splitlines()
    assert line.endswith(
        "bank.weights.factor: missing; give the path of factor.pth from its author"
    )
    assert not list(store.rglob("*.safetensors"))


def test_names_that_no_package_registers_are_refused(outside, write_suite):
    answer = outside("plan", write_suite(with_bank(extractors=["colour"])))
    assert answer.returncode == 2
    assert "bank.extractors: unknown extractor 'colour'; did you mean 'colours'?" in answer.stderr


def test_a_package_that_cannot_be_imported_is_told_in_a_line(outside, tmp_path):
    (tmp_path / "site" / "outside" / "__init__.py").write_text("import no_such_package\n")
    answer = outside("list", "metrics")
    assert answer.returncode == 2
    assert answer.stderr == (
        "error: extractor 'colours' (outside: outside:COLOURS): cannot be imported: "
        "No module named 'no_such_package'; install its package again\n"
    )
