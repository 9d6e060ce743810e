"""Suites that were edited between runs: all commands show the cells of the last run alone."""

import csv
import io
import json
import shutil
import sys

import pytest
import yaml
from mlflow import MlflowClient

from bench.commands import cli
from bench.records.report_plugins import REPORTS
from bench.records.runs import read_runs

STEPS = (4, 8, 12)
BASE = {
    "data": {"kind": "fluent_scenes", "resolution": 32, "train": 48, "validation": 24},
    "tokenizer": {
        "budgets": [1, 2, 4], "width": 16, "encoder_depth": 1, "decoder_depth": 1,
        "attention_heads": 2, "quantizer": {"kind": "fsq", "levels": [5, 5]}, "lora": {"rank": 0},
    },
    "bank": {"extractor_resolution": 32, "policy_images": None, "batch": 8, "shard": 16},
}  # fmt: skip
LINE = "left out: 4 superseded records of cells that the suite no longer has"


def content(name, steps):
    """A tokenizer of two seeds; the label does not say its steps."""
    training = {"steps": steps, "batch": 8, "learning_rate": 0.01, "warmup_steps": 2}
    return {
        "suite": name,
        "question": "Does it work?",
        "reports": ["summary"],
        "base": {**BASE, "training": training},
        "arms": [{"name": "elastic", "sweep": {"training.seed": [0, 1]}}],
    }


@pytest.fixture(scope="module")
def edited(tmp_path_factory, template):
    """The folder of two suites' files, `a4.yaml` and so on, and of the store that all ran into."""
    folder = tmp_path_factory.mktemp("edited")
    (folder / "store").mkdir()
    shutil.copy(template, folder / "store" / "mlflow.db")
    with pytest.MonkeyPatch.context() as patch:
        for steps in STEPS:
            for name in "ab":
                path = folder / f"{name}{steps}.yaml"
                path.write_text(yaml.safe_dump(content(name, steps)))
                given = ["run", path, "--store", folder / "store", "--executor", "serial"]
                patch.setattr(sys, "argv", ["adatok-bench", *map(str, given)])
                with pytest.raises(SystemExit) as end:
                    cli.main()
                assert end.value.code == 0
    return folder


@pytest.fixture
def ask(adatok, edited):
    """`ask("results", "a")`: the answer over the store of the edited suites."""
    return lambda *arguments: adatok(*arguments, "--store", edited / "store")


def rows(answer):
    return list(csv.DictReader(io.StringIO(answer.out)))


def steps_of(edited, suite):
    """Steps of training by the key of a cell, of all records."""
    files = (edited / "store" / "records" / suite).glob("*.json")
    found = [json.loads(path.read_text()) for path in files]
    return {one["cell_key"]: one["settings"]["training"]["steps"] for one in found}


def test_results_show_the_last_run_and_say_how_many_are_superseded(ask, edited):
    for suite in "ab":
        answer = ask("results", suite, "--format", "csv", "--metric", "mse")
        assert answer.err.count("\n") == 1
        assert LINE in answer.err
        shown = rows(answer)
        known = steps_of(edited, suite)
        assert len(known) == 6
        assert [known[row["key"]] for row in shown] == [12, 12]
        # Current rows differ in what their labels say.
        assert set(shown[0]) == {"key", "status", "arm", "cell", "training.seed", "mse", "error"}


def test_superseded_records_are_listed_with_their_run_and_what_differs(ask, edited):
    answer = ask("results", "a", "--superseded", "--format", "csv", "--metric", "mse")
    assert answer.err == ""
    whens = [run.when for run in read_runs(edited / "store" / "records" / "a")]
    expected = {4: whens[1], 8: whens[2], 12: ""}
    shown = rows(answer)
    assert len(shown) == 6
    for row in shown:
        assert row["superseded"] == expected[int(row["training.steps"])]
    plain = json.loads(ask("results", "a", "--superseded", "--json").out)
    assert sorted(str(one["superseded"]) for one in plain).count("None") == 2


def test_a_file_means_its_own_cells_and_what_has_not_run_is_said(ask, edited):
    answer = ask("results", edited / "a4.yaml", "--json")
    assert {one["settings"]["training"]["steps"] for one in json.loads(answer.out)} == {4}
    assert "left out: 4 records of cells that the suite no longer has" in answer.err
    grown = yaml.safe_load((edited / "a12.yaml").read_text())
    grown["arms"][0]["sweep"]["training.seed"] = [1, 2, 3]
    (edited / "grown.yaml").write_text(yaml.safe_dump(grown))
    answer = ask("results", edited / "grown.yaml", "--json")
    assert len(json.loads(answer.out)) == 1
    assert "2 cells of the suite have no record yet" in answer.err


def test_comparisons_are_of_current_cells_or_of_the_versions_named(ask, edited):
    answer = ask("compare", "a", "b", "--metric", "mse", "--json")
    assert answer.code == 0
    assert answer.err.count(LINE) == 2
    rows = json.loads(answer.out)["differences"]
    assert all(row["a"] == row["b"] for row in rows)
    assert len(rows) == 3
    answer = ask("compare", edited / "a4.yaml", "a", "--metric", "mse", "--json")
    assert all(row["a"] != row["b"] for row in json.loads(answer.out)["differences"])


def test_reports_and_the_page_average_current_cells_and_say_what_they_left_out(
    ask, edited, tmp_path, monkeypatch
):
    names = ("prefix_curves", "cells")
    few = {name: REPORTS[name] for name in names}
    monkeypatch.setattr(
        "reports.page.building.declared",
        lambda kind: {name: one for name, one in few.items() if isinstance(one, kind)},
    )
    answer = ask("report", "a", "b", "--out", tmp_path / "report")
    assert answer.code == 0
    assert answer.err.count(LINE) == 2
    page = (tmp_path / "report" / "index.html").read_text()
    assert page.count(LINE) == 2
    for suite in "ab":
        for key, steps in steps_of(edited, suite).items():
            assert (key in page) == (steps == 12)
        table = (tmp_path / "report" / "tables" / suite / "cells.csv").read_text()
        assert table.count("elastic") == 2


def test_exports_name_current_cells_and_keys_reach_older_ones(ask, edited, tmp_path):
    answer = ask("export", "a:elastic: seed 0", "--out", tmp_path / "current")
    assert answer.code == 0
    assert LINE in answer.err
    config = yaml.safe_load((tmp_path / "current" / "config.yaml").read_text())
    assert config["base"]["training"]["steps"] == 12
    old = next(key for key, steps in steps_of(edited, "a").items() if steps == 4)
    answer = ask("export", f"a:{old}", "--out", tmp_path / "old")
    assert answer.code == 0
    assert f"{old} is superseded" in answer.err
    # Its card has no interval over the seeds of the current cells.
    assert "training seeds" not in (tmp_path / "old" / "README.md").read_text()


def marks(uri, suite):
    """The tag `superseded` of the suite's cells, by key."""
    client = MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name(suite).experiment_id
    runs = [run.data.tags for run in client.search_runs([experiment])]
    return {tags["cell_key"]: tags["superseded"] for tags in runs if "cell_key" in tags}


def test_mlflow_tells_current_from_superseded_after_runs_and_after_sync(
    ask, edited, template, tmp_path
):
    shutil.copy(template, tmp_path / "other.db")
    other = f"sqlite:///{tmp_path}/other.db"
    answer = ask("sync", "--tracking-uri", other)
    assert answer.code == 0
    assert answer.err.count("4 superseded records have the tag") == 2
    for suite in "ab":
        whens = [run.when for run in read_runs(edited / "store" / "records" / suite)]
        tags = {4: whens[1], 8: whens[2], 12: "no"}
        expected = {key: tags[steps] for key, steps in steps_of(edited, suite).items()}
        assert marks(f"sqlite:///{edited}/store/mlflow.db", suite) == expected
        assert marks(other, suite) == expected


def test_the_reports_of_a_run_are_of_its_own_cells(edited):
    for suite in "ab":
        text = (edited / "store" / "reports" / suite / "summary.txt").read_text()
        assert len([line for line in text.splitlines() if "fixed budget" in line]) == 6


def test_a_store_without_an_account_of_runs_is_refused_where_versions_mix(adatok, edited, tmp_path):
    store = shutil.copytree(edited / "store" / "records", tmp_path / "store" / "records").parent
    (store / "records" / "a" / "runs.jsonl").unlink()
    for command in (["results", "a"], ["compare", "a", "b"], ["report", "a", "--out", tmp_path]):
        answer = adatok(*command, "--store", store)
        assert answer.code == 2
        assert answer.err.count("\n") == 1
        assert "both called 'elastic' but differ in training.steps (" in answer.err
        assert "run the suite again" in answer.err
    # A single version is what it always was.
    for key, steps in steps_of(tmp_path, "a").items():
        if steps != 12:
            (store / "records" / "a" / f"{key}.json").unlink()
    answer = adatok("results", "a", "--store", store)
    assert (answer.code, answer.err) == (0, "")
    assert len(answer.out.splitlines()) == 3
