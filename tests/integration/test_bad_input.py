import json
import socket
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from refusals import refusals

from bench.records.record import SCHEMA_VERSION
from bench.suite.loading import load_suite


def set_path(suite, path, value):
    *parents, last = path
    for name in parents:
        suite = suite[int(name) if name.isdigit() else name]
    suite[last] = value


def one_line_error(answer):
    assert answer.code == 2, answer
    lines = answer.err.strip().splitlines()
    assert len(lines) == 1, answer.err
    assert lines[0].startswith("error: ")
    assert answer.out == ""
    return lines[0]


WRONG = """
base/tokenizer/lora/rnak: 4
    tokenizer.lora.rnak ... 'rank'
base/tokeniser: {}
    tokeniser ... 'tokenizer'
quesion: '?'
    quesion ... 'question'
base/training/steps: many
    training.steps ... integer ... 'many'
base/training/learning_rate: 1e-3
    training.learning_rate ... 1.0e-3
base/tokenizer/budgets: [4, 2, 8]
    tokenizer ... budgets ... increase
base/tokenizer/budgets: [0, 2]
    budgets ... 1 or more
base/tokenizer/patch_size: 5
    patch_size ... divide ... 32
arms/1/set/policy/candidates: [2, 4, 16]
    policy.candidates ... [16] ... [2, 4, 8]
arms/1/sweep/policy.weighting: [{kind: constraint, mean_budget: 100}]
    mean_budget ... 100 ... 2..8
arms/1/sweep/policy.weighting: [{mean_budget: 4}]
    policy.weighting.kind ... missing
arms/2/set/tokenizer.budgets: {mean_budget_of: polcy}
    'policy'
base/data: {kind: image_folder, path: /no/such}
    /no/such ... data.path
base/bank/inception_weights: /no/w.pth
    /no/w.pth ... inception_weights
base/bank/extractors: [lpips]
    bank.weights.vgg16 ... missing ... vgg16-397923af.pth ... https://download.pytorch.org
base/bank/weights: {dinov2: /no/w.pth}
    bank.extractors ... 'dinov2'
reports: [paretto]
    paretto ... 'pareto'
reference_arm: polcy
    reference_arm ... 'policy'
base/tokenizer/lora/rank: 33
    tokenizer ... lora.rank ... 33 ... width 32
base/tokenizer/decoders: per_budget
    tokenizer ... lora.rank ... to 0
base/bank/budgets: [2, 4, 9]
    bank.budgets ... 1..8
base/bank/budgets: [4, 2]
    bank ... budgets ... increase
base/bank/budgets: [2, 4]
    policy.candidates ... [8] ... [2, 4]
arms/2/set/bank.budgets: [2, 4]
    arm 'fixed_at_mean' ... bank.budgets ... null
base/finetuning: {lora: {rank: 2}}
    finetuning.lora ... tokenizer.lora.rank
arms/0/set: {tokenizer.lora.rank: 0, finetuning: {trainable: heads}}
    arm 'elastic' ... finetuning.trainable ... finetuning.lora
base/data/resolution: 24
    training.perceptual ... 32 px
arms/1/sweep/policy.weighting: [{kind: hypervolume}]
    policy.weighting.reference ... missing
arms/1/set/policy.objective: {kind: supervised}
    weighting.kind ... gradient ... supervised
arms/1/set/policy.reward: {perceptual_share: 1.0}
    policy.reward.perceptual_share ... bank.policy_perceptual
arms/1/set/policy.prefix: 2
    policy ... prefix ... quantized
arms/1/set: {policy: {candidates: [2, 8], input: quantized, prefix: 9}}
    policy.prefix ... 9 ... 8 tokens
arms/1/set/codesign: {training: {lengths: {distribution: policy, share: 1.5}}}
    codesign.training.lengths ... share ... [0, 1]
base/training/lengths: {distribution: policy}
    codesign.training
resources: {tokeniser: {cpus: 1}}
    resources ... tokenizer
"""


@pytest.mark.parametrize(("changes", "expected"), refusals(WRONG))
def test_a_wrong_suite_is_one_line(
    tiny, write_suite, adatok, tmp_path, monkeypatch, changes, expected
):
    monkeypatch.chdir(tmp_path)
    if "gradient" in expected:
        tiny["arms"][1]["sweep"]["policy.weighting"] = [{"kind": "gradient"}]
    if "training.perceptual" in expected:
        tiny["base"]["training"]["perceptual"] = 0.1
    for path, value in changes.items():
        set_path(tiny, path.split("/"), value)
    suite = write_suite(tiny)
    for command in ("validate", "run", "plan"):
        line = one_line_error(adatok(command, suite))
        assert str(suite) in line
        for part in expected.split(" ... "):
            assert part in line
    assert not (tmp_path / "store").exists()  # nothing was computed


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"extends": "nowhere.yaml"}, ["extends", "nowhere.yaml", "No such file"]),
        ({"extends": "suite.yaml"}, ["extends", "leads back"]),
        ({"extends": "base.yaml", "set": {"tokenizer.widht": 8}}, ["tokenizer.widht", "'width'"]),
        ({"extends": "base.yaml", "set": ["tokenizer.width"]}, ["set", "dotted path"]),
        ({"extends": "base.yaml", "reference_arm": "polcy"}, ["reference_arm", "'policy'"]),
    ],
)
def test_a_wrong_extension_is_one_line(tiny, write_suite, adatok, content, expected):
    write_suite(tiny, "base.yaml")
    suite = write_suite(content)
    line = one_line_error(adatok("validate", suite))
    assert line.startswith(f"error: {suite}: ")
    for part in expected:
        assert part in line


def test_a_missing_suite(adatok, tmp_path):
    assert "nowhere.yaml" in one_line_error(adatok("validate", tmp_path / "nowhere.yaml"))


def test_a_duplicated_key(adatok, tmp_path):
    path = tmp_path / "twice.yaml"
    path.write_text("suite: a\nsuite: b\n")
    line = one_line_error(adatok("validate", path))
    assert "'suite'" in line
    assert "twice" in line


def test_validate_checks_every_file(tiny, write_suite, adatok):
    good = write_suite(tiny, "good.yaml")
    del tiny["question"]
    bad = write_suite(tiny, "bad.yaml")
    answer = adatok("validate", bad, good)
    assert answer.code == 2
    assert str(bad) in answer.err
    assert str(good) in answer.out


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
@pytest.mark.parametrize("executor", ["serial", "ray"])
def test_a_gpu_on_a_machine_without_one(tiny, write_suite, adatok, tmp_path, executor):
    tiny["device"] = "cuda"
    answer = adatok("run", write_suite(tiny), "--store", tmp_path / "store", "--executor", executor)
    assert "device: cpu" in one_line_error(answer)


def test_unreadable_images_are_listed_and_counted(tiny, write_suite, adatok, tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for index in range(8):
        pixels = rng.integers(0, 256, (40, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{index}.png")
    (folder / "broken.jpg").write_bytes(b"not a picture")
    tiny["base"]["data"] = {"kind": "image_folder", "path": str(folder), "resolution": 32}
    answer = adatok("run", write_suite(tiny), "--store", tmp_path / "store", "--executor", "serial")
    assert answer.code == 2
    line = answer.err.strip().splitlines()[-1]
    for part in (str(folder), "1 of 9", "broken.jpg", "max_unreadable"):
        assert part in line


def test_a_store_below_a_file(tiny, write_suite, adatok, tmp_path):
    (tmp_path / "file").write_text("")
    answer = adatok("run", write_suite(tiny), "--store", tmp_path / "file" / "store")
    assert "--store" in one_line_error(answer)


def test_a_store_on_a_read_only_disk(tiny, write_suite, adatok):
    answer = adatok("run", write_suite(tiny), "--store", "/proc/adatok-store")
    line = one_line_error(answer)
    assert "/proc/adatok-store" in line
    assert "--store" in line


def mount_tmpfs(folder, size):
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    return subprocess.run(command, capture_output=True).returncode == 0


@pytest.mark.skipif(sys.platform != "linux", reason="mounts a small file system")
def test_a_disk_that_fills_up_during_a_run(tiny, write_suite, adatok, tmp_path):
    folder = tmp_path / "small"
    if not mount_tmpfs(folder, "1536k"):
        pytest.skip("this user may not mount a file system")
    try:
        tiny["base"]["data"]["train"] = 2000
        answer = adatok(
            "run", write_suite(tiny), "--store", folder / "store", "--executor", "serial"
        )
        assert answer.code == 2
        line = answer.err.strip().splitlines()[-1]
        assert "No space left" in line
        assert "free space" in line
        assert not list((folder / "store").glob("data/*"))
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_diverging_cell_fails_alone(tiny, write_suite, adatok, tmp_path):
    tiny["arms"].append({"name": "diverges", "set": {"training.learning_rate": 1.0e30}})
    suite, store = write_suite(tiny), tmp_path / "store"
    answer = adatok("run", suite, "--store", store, "--executor", "serial")
    assert answer.code == 1
    assert "not finite at step" in answer.err
    assert "failed: diverges" in answer.out
    rows = json.loads(adatok("results", "tiny", "--store", store, "--json").out)
    status = {row["label"]: row["status"] for row in rows}
    assert status["diverges"] == "failed"
    assert len(status) == 5
    assert set(status.values()) == {"done", "failed"}
    failed = next(row for row in rows if row["label"] == "diverges")
    assert "not finite at step" in failed["error"]


def test_a_record_of_a_newer_version_stops_a_run_before_it_computes(
    tiny, write_suite, adatok, tmp_path
):
    suite, store = write_suite(tiny), tmp_path / "store"
    key = load_suite(suite).cells[0].key
    path = store / "records" / "tiny" / f"{key}.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"schema_version": SCHEMA_VERSION + 1, "what": "is new"}))
    before = path.read_bytes()
    line = one_line_error(adatok("run", suite, "--store", store, "--executor", "serial"))
    assert f"{key}.json: written by a newer adatok-bench and not overwritten" in line
    assert path.read_bytes() == before
    assert [p.name for p in store.iterdir()] == ["records"]
    line = one_line_error(adatok("results", "tiny", "--store", store))
    assert "written by a newer adatok-bench; update this one" in line


def test_results_of_a_torn_record(adatok, tmp_path):
    path = tmp_path / "records" / "torn" / "cell.json"
    path.parent.mkdir(parents=True)
    path.write_text('{"schema_version": 1,')
    line = one_line_error(adatok("results", "torn", "--store", tmp_path))
    assert "cell.json: not a whole record" in line


def test_results_of_an_unknown_suite(adatok, tmp_path):
    line = one_line_error(adatok("results", "nothing", "--store", tmp_path))
    assert "nothing" in line
    assert "run the suite" in line


def test_ui_without_a_store(adatok, tmp_path):
    assert "run a suite first" in one_line_error(adatok("ui", "--store", tmp_path))


def test_ui_on_a_port_that_is_taken(adatok, tmp_path):
    (tmp_path / "mlflow.db").touch()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        line = one_line_error(adatok("ui", "--store", tmp_path, "--port", taken.getsockname()[1]))
    assert "in use" in line
