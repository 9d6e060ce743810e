import json

import pytest
import yaml
from mlflow import MlflowClient
from small_suites import suite

from bench.stages.training import checkpointing

BASE = """
base:
  data: {kind: fluent_scenes, resolution: 32, train: 120, validation: 40}
  tokenizer:
    {<<: *tokenizer, quantizer: {kind: fsq, levels: [5, 5]}, lora: {rank: 2, alpha: 1.0}}
  training: *training
  bank: {extractor_resolution: 32, batch: 40, shard: 80}
"""
SAMPLES = suite(
    BASE
    + """
  generation:
    generator: {width: 16, depth: 1, attention_heads: 2}
    training: *training
    images: 24
    batch: 8
suite: samples
question: What do samples come to?
arms:
  - name: adaptive
    set:
      policy: {candidates: [1, 2, 4], steps: 30, batch: 16}
      policy.weighting: {kind: constraint, mean_budget: 2}
      generation.generator.lengths: length_token
"""
)
SPEED = suite(
    BASE
    + """
suite: speed
question: What do shorter sequences buy?
arms:
  - name: random
    set:
      throughput:
        generator: {width: 16, depth: 1, attention_heads: 2}
        lengths: {kind: tilted, candidates: [1, 2, 4], mean: 2}
        images: 8
        batches: [4]
        repeats: 1
"""
)


def records_of(store, suite):
    paths = sorted((store / "records" / suite).glob("*.json"))
    return {r["label"]: r for r in map(json.loads, (path.read_text() for path in paths))}


def test_a_generator_that_is_killed_goes_on_and_its_samples_are_on_record(
    write_suite, adatok, tmp_path, monkeypatch
):
    suite, store = write_suite(SAMPLES), tmp_path / "store"
    save = checkpointing.save_state

    def killed(path, state):
        save(path, state)
        if path.name.startswith("generator-") and state.step == 20:
            raise KeyboardInterrupt

    monkeypatch.setattr(checkpointing, "save_state", killed)
    assert adatok("run", suite, "--store", store, "--executor", "serial").code == 130
    (work,) = (store / "work").glob("generator-*")
    assert (work / "checkpoint.safetensors").is_file()
    monkeypatch.setattr(checkpointing, "save_state", save)
    answer = adatok("run", suite, "--store", store, "--executor", "serial")
    assert answer.code == 0, answer.err
    assert "tokenizer-" not in answer.err
    (stage,) = store.glob("generator/*/stage.json")
    stage = json.loads(stage.read_text())
    assert len(stage["attempts"]) == 2
    assert [row["step"] for row in stage["result"]["history"]] == [10, 20, 30, 40]

    (record,) = records_of(store, "samples").values()
    assert (record["status"], record["kind"]) == ("done", "generation")
    assert {row["stage"] for row in record["stages"]} >= {"generator", "samples", "policy"}
    assert set(record["histories"]) == {"tokenizer", "policy", "generator"}
    assert (store / record["images"]).is_file()
    assert (store / record["gallery"] / "gallery.npy").is_file()
    assert record["generation"]["unended"] == 0
    assert set(record["generation"]["lengths"]["generated"]) <= {"1", "2", "4"}

    client = MlflowClient(tracking_uri=f"sqlite:///{store / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("samples")
    runs = client.search_runs([experiment.experiment_id])
    (run,) = (run for run in runs if "cell_key" in run.data.tags)
    assert run.data.metrics["gfd_lite0"] == pytest.approx(record["metrics"]["gfd_lite0"])
    assert run.data.metrics["length_wasserstein_1"] == record["metrics"]["length_wasserstein_1"]

    shown = adatok("results", "samples", "--store", store, "--json")
    (row,) = json.loads(shown.out)
    assert row["kind"] == "generation"
    assert row["generation"] == record["generation"]
    again = adatok("run", suite, "--store", store, "--executor", "serial")
    assert "level" not in again.err

    content = yaml.safe_load(yaml.safe_dump(SAMPLES))
    content["base"]["generation"]["images"] = 120  # The classes' proportions differ by split.
    short = adatok("run", write_suite(content), "--store", store, "--executor", "serial")
    errors = [line for line in short.err.splitlines() if line.startswith("error: ")]
    assert (short.code, len(errors)) == (2, 1)
    assert "generation.images: " in errors[0]
    assert "raise bank.policy_images" in errors[0]


def test_speed_is_on_record_and_compare_leaves_it_alone(write_suite, adatok, tmp_path):
    suite, store = write_suite(SPEED), tmp_path / "store"
    answer = adatok("run", suite, "--store", store, "--executor", "serial")
    assert answer.code == 0, answer.err
    (record,) = records_of(store, "speed").values()
    assert (record["status"], record["kind"]) == ("done", "throughput")
    assert [row["stage"] for row in record["stages"]] == ["throughput"]
    found = record["throughput"]
    assert (found["weights"], found["lengths"]["mean"]) == ("random", 2)
    assert {(row["arm"], row["mode"]) for row in found["rows"]} == {
        ("fixed", "padded"),
        *(("adaptive", mode) for mode in ("ideal", "padded", "bucketed", "refilled")),
    }
    shown = adatok("results", "speed", "--store", store)
    assert "ratio/refilled/batch_4" in shown.out
    compared = adatok("compare", "speed", "speed", "--store", store)
    assert (compared.code, compared.out) == (2, "")
    assert compared.err.strip() == (
        "error: speed: holds throughput alone, which `results` shows; name other cells"
    )
    planned = json.loads(adatok("plan", suite, "--store", store, "--json").out)
    assert "cached" in json.dumps(planned)


@pytest.mark.parametrize(
    ("suite", "path", "value", "expected"),
    [
        (SAMPLES, "generation.sampling.guidence", 2.0, ["generation.sampling.guidence", "'guid"]),
        (SAMPLES, "generation.labels", [9], ["generation.labels", "9", "0..2"]),
        (SAMPLES, "generation.budget", 4, ["generation", "budget", "length_token"]),
        (SAMPLES, "policy", None, ["generation.budget", "policy"]),
        (SPEED, "throughput.images", 2, ["throughput", "images", "batch of 4"]),
        (SPEED, "throughput.lengths.mean", 5, ["throughput.lengths", "mean", "1 and 4"]),
        (SPEED, "throughput.lengths", {"kind": "policy"}, ["throughput.lengths", "policy"]),
    ],
)
def test_bad_settings_are_refused_in_one_line(
    write_suite, adatok, tmp_path, suite, path, value, expected
):
    content = yaml.safe_load(yaml.safe_dump(suite))
    content["arms"][0]["set"] = {**content["arms"][0]["set"], path: value}
    if path == "policy":
        del content["arms"][0]["set"]["policy.weighting"]
    answer = adatok("run", write_suite(content), "--store", tmp_path / "store")
    assert (answer.code, answer.out) == (2, "")
    (line,) = answer.err.strip().splitlines()
    assert line.startswith("error: ")
    assert all(part in line for part in expected), line
