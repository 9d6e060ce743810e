"""A stage from a package of its own: nothing of ours knows it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

STAGE = '''
from dataclasses import dataclass

from bench.data.image_set import read_image_set
from bench.stages import Stage


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How brightness is measured."""

    white: float = 255.0
    as_metric: str = "brightness"


def run(context):
    """Measure the mean brightness of the validation images."""
    settings = context.spec.config
    if settings["white"] <= 0:
        raise ValueError("white is black")
    pixels = read_image_set(context.inputs["images"]).pixels
    return {"metrics": {settings["as_metric"]: float(pixels.mean()) / settings["white"]}}


STAGE = Stage(name="brightness", version=1, run=run, inputs=("images", "bank"), settings=Settings)
'''

# No database is made: it takes MLflow longer than all the rest.
UNTRACKED = ("--tracking-uri", "sqlite:////dev/null/mlflow.db")

METRIC = """
from bench.metrics.declared import Metric

BRIGHTNESS = Metric(name="brightness", title="mean brightness", higher_is_better=None)
"""

ENTRY_POINTS = """
[adatok_bench.stages]
brightness = brightness_stage:STAGE

[adatok_bench.metrics]
brightness = brightness_metric:BRIGHTNESS
"""


@pytest.fixture
def installed(tmp_path):
    """The folder of an installed package that brings the stage `brightness`."""
    folder = tmp_path / "site"
    about = folder / "brightness_stage-1.0.dist-info"
    about.mkdir(parents=True)
    (folder / "brightness_stage.py").write_text(STAGE)
    (folder / "brightness_metric.py").write_text(METRIC)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: brightness-stage\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(ENTRY_POINTS)
    return folder


@pytest.fixture
def command(installed, tmp_path):
    def command(*arguments):
        return subprocess.run(
            [Path(sys.executable).with_name("adatok-bench"), *map(str, arguments)],
            env={**os.environ, "PYTHONPATH": str(installed), "OMP_NUM_THREADS": "1"},
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )

    return command


def suite_of(tiny, **extras):
    base = {
        **tiny["base"],
        "training": {**tiny["base"]["training"], "steps": 6, "warmup_steps": 0, "log_every": 2},
    }
    arms = [{"name": "plain"}]
    arms += [
        {"name": name, "set": {"extra.brightness": settings}} for name, settings in extras.items()
    ]
    return {"suite": "outside", "question": "?", "base": base, "arms": arms}


def test_a_stage_of_another_package_runs_and_its_metrics_are_the_cells(
    tiny, write_suite, command, tmp_path
):
    content = suite_of(tiny, bright={}, black={"white": 0.0}, foreign={"as_metric": "brightnes"})
    suite, store = write_suite(content), tmp_path / "store"
    done = command("run", suite, "--executor", "serial", "--store", store, *UNTRACKED)
    assert done.returncode == 1, done.stderr
    assert "failed: black: brightness: ValueError: white is black\n" in done.stderr
    assert (
        "failed: foreign: brightness: metrics: unknown metric 'brightnes'; did you mean "
        "'brightness'?\n"
    ) in done.stderr
    assert "Traceback" not in done.stderr

    records = [json.loads(path.read_text()) for path in store.glob("records/outside/*.json")]
    by_arm = {record["arm"]: record for record in records}
    assert {arm: record["status"] for arm, record in by_arm.items()} == {
        **{"plain": "done", "bright": "done", "black": "failed", "foreign": "failed"}
    }
    assert 0.05 < by_arm["bright"]["metrics"]["brightness"] < 0.95
    assert "brightness" not in by_arm["plain"]["metrics"]
    assert by_arm["bright"]["curve"] == by_arm["plain"]["curve"]
    assert by_arm["bright"]["settings"]["extra"] == {
        "brightness": {"white": 255.0, "as_metric": "brightness"}
    }
    assert "extra" not in by_arm["plain"]["settings"]
    assert by_arm["bright"]["stages"][-1]["stage"] == "brightness"

    verified = command("verify", "outside:bright", "--store", store)
    assert verified.returncode == 0, verified.stderr
    assert "  stands    extra brightness: 1 value\n" in verified.stdout

    # Only the new stage is computed, by a worker process this time.
    content = suite_of(tiny, bright={}, half={"white": 510.0})
    ran = command("run", write_suite(content), "--store", store, *UNTRACKED)
    assert ran.returncode == 0, ran.stderr
    assert "1 x brightness\n" in ran.stderr
    shown = json.loads(
        command("results", "outside", "--store", store, "--json", "--metric", "brightness").stdout
    )
    values = {row["label"]: row["metrics"]["brightness"] for row in shown if row["metrics"]}
    assert values["half"] == pytest.approx(values["bright"] / 2)


def test_plan_and_validate_know_the_stage(tiny, write_suite, command, tmp_path):
    content = {**suite_of(tiny, bright={}), "resources": {"brightness": {"cpus": 2}}}
    planned = command("plan", write_suite(content), "--store", tmp_path / "store", "--json")
    (row,) = (r for r in json.loads(planned.stdout)["stages"] if r["stage"] == "brightness")
    assert (row["state"], row["cells"], row["ends"], row["cpus"]) == ("new", 1, 1, 2)
    for extra, message in (
        ({"brightnes": {}}, "extra.brightnes: unknown stage 'brightnes'; did you mean"),
        ({"brightness": {"whit": 1}}, "extra.brightness: whit: unknown key; did you mean 'white'?"),
    ):
        content["arms"] = [{"name": "wrong", "set": {"extra": extra}}]
        refused = command("validate", write_suite(content))
        assert refused.returncode == 2
        assert message in refused.stderr
