import json

import pytest


@pytest.fixture
def plan(adatok, small_run):
    def plan(*arguments, **options):
        return adatok("plan", small_run.suite.path, *arguments, **options)

    return plan


def test_the_plan_for_people_fits_a_terminal(plan, small_run):
    answer = plan("--store", small_run.store.root, columns=80)
    assert answer.code == 0
    assert max(map(len, answer.out.splitlines())) <= 80
    assert answer.out.startswith("small: 4 of 6 cells complete")
    assert "1 failed" in answer.out
    assert "like it" in answer.out


@pytest.mark.parametrize("option", ["too long", "in a circle"])
def test_a_store_that_cannot_be_is_refused(plan, tmp_path, option):
    (tmp_path / "in a circle").symlink_to("in a circle")
    store = tmp_path / {"too long": "a" * 300}.get(option, option)
    answer = plan("--store", store)
    assert answer.code == 2
    assert answer.err.startswith(f"error: {store}: ")
    assert answer.err.endswith("; give another path\n")


def test_the_plan_for_machines(plan, small_run):
    found = json.loads(plan("--store", small_run.store.root, "--json").out)
    assert (found["suite"], found["cells"]) == ("small", 6)
    assert {row["state"] for row in found["stages"]} == {"cached", "new", "failed"}
    assert found["to_do"]["stages"] == 4
    assert found["to_do"]["seconds"] > 0


def test_cpus_and_gpus_are_those_asked_for(plan, tmp_path):
    found = json.loads(plan("--store", tmp_path, "--cpus", 7, "--gpus", 3, "--json").out)
    assert (found["to_do"]["cpus"], found["to_do"]["gpus"]) == (7, 3)
    assert found["to_do"]["not_known"] == found["to_do"]["stages"] > 0
    assert "in all: not known on 7 CPUs" in plan("--store", tmp_path, "--cpus", 7).out


def test_another_machine_is_asked_for_with_its_share(plan, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "bench.run.planning.flops.counted_flops",
        lambda job: 1e15 if job.stage == "tokenizer" else None,
    )
    found = json.loads(plan("--store", tmp_path, "--as", "4xA100", "--mfu", "0.5", "--json").out)
    assert found["machine"] == "4xA100 at 50% MFU of 312 TFLOP/s (bf16)"
    assert (found["to_do"]["cpus"], found["to_do"]["gpus"]) == (64, 4)
    (seconds,) = {r["expected_seconds"] for r in found["stages"] if r["stage"] == "tokenizer"}
    assert seconds == pytest.approx(1e15 / 156e12)
    assert "--mfu: is of the machine" in plan("--mfu", "0.5").err
    assert plan("--as", "3 cats").code == 2
