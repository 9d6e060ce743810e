"""Choices that another package brings: nothing of ours knows them."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

OUTSIDE = Path(__file__).parent / "outside"
POINTS = {
    "adatok_bench.allocators": {"bright": "bright:ALLOCATOR"},
    "adatok_bench.quantizers": {"signs": "signs:QUANTIZER"},
    "adatok_bench.objectives": {"expected": "learning:OBJECTIVE"},
    "adatok_bench.weightings": {"ramp": "learning:WEIGHTING"},
}
POLICY = {
    "candidates": [2, 4, 8],
    "steps": 4,
    "batch": 16,
    "log_every": 2,
    "objective": {"kind": "expected"},
    "weighting": {"kind": "ramp", "efficiency": 0.25, "steps": 2},
}


@pytest.fixture
def install(tmp_path):
    """`install(name, points)`: the folder of an installed package with these entry points."""

    def install(name, points):
        folder = tmp_path / name
        about = folder / f"{name}-1.0.dist-info"
        shutil.copytree(OUTSIDE, folder)
        about.mkdir()
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        lines = [
            line
            for group, named in points.items()
            for line in (f"[{group}]", *(f"{point} = {value}" for point, value in named.items()))
        ]
        (about / "entry_points.txt").write_text("\n".join(lines) + "\n")
        return folder

    return install


@pytest.fixture
def command(tmp_path):
    """`command(arguments, *folders)`: the command line with these packages installed."""

    def command(arguments, *folders):
        path = os.pathsep.join(map(str, folders))
        return subprocess.run(
            [Path(sys.executable).with_name("adatok-bench"), *map(str, arguments)],
            env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )

    return command


def suite_of(tiny, **changes):
    base = {**tiny["base"], **changes}
    base["data"] = {**base["data"], "train": 48, "validation": 24}
    base["tokenizer"] = {
        **base["tokenizer"],
        "quantizer": changes.get("quantizer", {"kind": "signs", "bits": 3}),
    }
    base.pop("quantizer", None)
    base["training"] = {**base["training"], "steps": 2, "warmup_steps": 0, "log_every": 1}
    arms = [
        {"name": "bright", "set": {"allocator": {"kind": "bright", "share": 0.25}}},
        {"name": "learned", "set": {"policy": POLICY}},
    ]
    return {"suite": "outside", "question": "?", "base": base, "arms": arms}


def test_choices_of_another_package_run_in_a_suite(tiny, write_suite, install, command, tmp_path):
    folder, store = install("outside", POINTS), tmp_path / "store"
    suite = write_suite(suite_of(tiny))
    done = command(["run", suite, "--executor", "serial", "--store", store], folder)
    assert done.returncode == 0, done.stderr
    records = [json.loads(path.read_text()) for path in store.glob("records/outside/*.json")]
    bright, learned = sorted(records, key=lambda record: record["arm"])
    assert bright["status"] == learned["status"] == "done"
    assert bright["allocator"] == "bright"
    assert bright["settings"]["allocator"] == {"kind": "bright", "candidates": None, "share": 0.25}
    assert {"share/tokens_2", "share/tokens_8"} <= bright["metrics"].keys()
    assert bright["metrics"]["share/tokens_4"] == 0
    assert 0 < bright["metrics"]["share/tokens_8"] < 0.75
    assert bright["metrics"]["bits_per_token"] == 3
    (policy,) = store.glob("policy/*/stage.json")
    history = json.loads(policy.read_text())["result"]["history"]
    assert [row["weight_efficiency"] for row in history] == [0.125, 0.25]


def test_they_are_listed_with_their_package(install, command):
    folder = install("outside", POINTS)
    done = command(["list", "--json"], folder)
    entries = {entry["name"]: entry for entry in json.loads(done.stdout)}
    assert entries["bright"]["defined"] == "outside: bright:ALLOCATOR"
    assert entries["bright"]["about"].startswith("The largest budget for images brighter than")
    assert entries["signs"]["about"] == "The signs of bits numbers, nothing else"
    assert {entries[name]["kind"] for name in ("expected", "ramp")} == {"objectives", "weightings"}


@pytest.mark.parametrize(
    ("quantizer", "expected"),
    [
        ({"kind": "signs", "bits": 0}, "tokenizer.quantizer: bits: must be 1 or more"),
        ({"kind": "signs", "bit": 3}, "tokenizer.quantizer.bit: unknown key; did you mean 'bits'?"),
        (
            {"kind": "sings"},
            "tokenizer.quantizer.kind: input should be 'fsq' or 'lfq' or 'vq' or 'residual_vq' or "
            "'signs', not 'sings'; did you mean 'signs'?",
        ),
    ],
)
def test_their_settings_are_checked_as_ours(
    tiny, write_suite, install, command, quantizer, expected
):
    suite = write_suite(suite_of(tiny, quantizer=quantizer))
    done = command(["validate", suite], install("outside", POINTS))
    assert done.returncode == 2
    assert done.stderr.rstrip().endswith(expected)


def test_what_cannot_be_imported_is_told_to_those_alone_who_ask_for_it(
    tiny, write_suite, install, command
):
    points = {"adatok_bench.quantizers": {"signs": "no_such_module:QUANTIZER"}}
    folder = install("broken", points)
    told = "quantizer 'signs' (broken: no_such_module:QUANTIZER): cannot be imported: No module"
    content = suite_of(tiny)
    content["arms"] = [{"name": "plain"}]
    done = command(["validate", write_suite(content)], folder)
    assert done.returncode == 2
    assert told in done.stderr
    assert done.stderr.count("\n") == 1
    content["base"]["tokenizer"]["quantizer"] = {"kind": "fsq"}
    assert command(["validate", write_suite(content)], folder).returncode == 0


def test_a_name_that_is_taken_is_refused_with_both_places(tiny, write_suite, install, command):
    points = {"adatok_bench.quantizers": {"vq": "signs:QUANTIZER"}}
    folder, suite = install("second", points), write_suite(suite_of(tiny))
    for arguments in (["validate", suite], ["list", "quantizers"]):
        done = command(arguments, folder)
        assert done.returncode == 2
        assert "quantizer 'vq' (second: signs:QUANTIZER): this name is taken by" in done.stderr
        assert "adatok_core/config/quantizer.py:" in done.stderr
        assert done.stderr.count("\n") == 1
