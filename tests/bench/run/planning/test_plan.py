from collections import Counter

import pytest

from bench.graph.suite_graph import build_graph
from bench.run.planning.plan import plan_suite, plan_totals
from bench.run.planning.text import plan_text
from bench.store.store import Store


@pytest.fixture
def plan(load, small):
    def plan(store, content=small):
        suite = load(content)
        return plan_suite(suite, build_graph(suite), store)

    return plan


def states(rows):
    return Counter((row["stage"], row["state"]) for row in rows)


def test_an_empty_store_has_all_to_do(plan, tmp_path):
    rows = plan(Store(tmp_path / "store"))
    assert states(rows) == {
        ("data", "new"): 2,
        ("tokenizer", "new"): 2,
        ("tokenizer", "waiting"): 1,
        ("bank", "new"): 3,
        ("bank", "waiting"): 1,
        ("policy", "new"): 2,
        ("png_sizes", "new"): 1,
        ("evaluation", "new"): 5,
        ("evaluation", "waiting"): 1,
    }
    for row in rows:
        assert (row["key"] is None) == (row["state"] == "waiting")
        assert row["seconds"] is None
        assert row["expected_seconds"] is None
        assert row["estimated_from"] is None
    assert all(need < number for number, row in enumerate(rows) for need in row["needs"])
    assert sum(len(row["needs"]) for row in rows) > len(rows)
    assert not (tmp_path / "store").exists()
    assert plan_totals(rows, cpus=2, gpus=1)["critical_path"]["stages"] == []


def test_cells_are_counted_at_each_stage_they_need(plan, tmp_path):
    rows = plan(Store(tmp_path / "store"))
    assert [row["cells"] for row in rows if row["stage"] == "data"] == [6, 6]
    assert sorted(row["cells"] for row in rows if row["stage"] == "tokenizer") == [1, 2, 3]
    assert sorted(row["cells"] for row in rows if row["stage"] == "bank") == [1, 2, 2, 3]
    assert {row["cells"] for row in rows if row["stage"] in ("policy", "evaluation")} == {1}


def test_after_a_run_only_what_failed_is_left(plan, small_run):
    rows = plan(small_run.store)
    assert states(rows) == {
        ("data", "cached"): 2,
        ("tokenizer", "cached"): 2,
        ("tokenizer", "failed"): 1,
        ("bank", "cached"): 3,
        ("bank", "new"): 1,
        ("policy", "cached"): 2,
        ("png_sizes", "cached"): 1,
        ("evaluation", "cached"): 4,
        ("evaluation", "new"): 2,
    }
    (cached,) = (row for row in rows if row["key"] == small_run.spec("elastic").key)
    described = small_run.store.description("evaluation", cached["key"])
    assert cached["seconds"] == described["seconds"]
    assert "expected_seconds" not in cached


def test_what_is_left_costs_what_its_like_has_cost(plan, small_run):
    rows = plan(small_run.store)
    (left,) = (row for row in rows if (row["stage"], row["state"]) == ("bank", "new"))
    spec = small_run.spec("elastic", "bank")
    took = small_run.store.description("bank", spec.key)["seconds"]
    other = small_run.spec("fixed_at_mean", "bank")
    shorter = small_run.store.description("bank", other.key)["seconds"]
    assert left["expected_seconds"] == pytest.approx(took)
    assert left["estimated_from"] == {"count": 1, "factor": 1.0, "by": "images x budgets"}
    assert took != shorter  # Of one budget, not three: other work.


def row(state, *needs, **changes):
    known = {"count": 2, "factor": 1.0, "by": "images x pixels"}
    base = {"stage": "data", "key": None, "state": state, "cells": 3, "ends": 0}
    base |= {"cpus": 1, "gpus": 0.0, "needs": list(needs), "seconds": None}
    return base | {"expected_seconds": 8.0, "estimated_from": known} | changes


UNKNOWN = {"expected_seconds": None, "estimated_from": None}


def test_totals_count_a_key_once_and_what_is_not_known_apart():
    rows = [
        row("cached", seconds=100.0),
        row("new", 0, key="same"),
        row("new", 0, key="same"),
        row("new", 0, key="other", expected_seconds=5.0, stage="bank", cpus=2),
        row("waiting", 3, **UNKNOWN),
        row("waiting", 1),
    ]
    alone = plan_totals(rows, cpus=1, gpus=1)
    assert (alone["stages"], alone["seconds"], alone["not_known"]) == (4, 21.0, 1)
    assert alone["critical_path"] == {"seconds": 16.0, "rows": [1, 5], "stages": ["data", "data"]}
    assert alone["cpu_hours"] == pytest.approx((8 + 8 + 2 * 5) / 3600)
    assert [(one["stage"], one["stages"], one["not_known"]) for one in alone["by_stage"]] == [
        ("data", 3, 1), ("bank", 1, 0),
    ]  # fmt: skip
    assert plan_totals(rows, cpus=3, gpus=1)["seconds"] == 16.0


def test_the_text_says_what_is_known_how_and_what_is_not():
    scaled = {"count": 5, "factor": 0.5, "by": "images x budgets"}
    rows = [
        row("cached", seconds=100.0),
        row("new", 0, stage="bank", key="a", estimated_from=scaled, expected_seconds=36.0),
        row("new", 0, stage="bank", key="b", estimated_from=scaled, expected_seconds=75.0),
        row("new", 2, stage="policy", key="c", expected_seconds=9.0),
        row("new", 3, stage="policy", key="d", expected_seconds=9.0),
        row("new", 1, stage="evaluation", ends=1, **UNKNOWN),
    ]
    text = plan_text("mine", rows, plan_totals(rows, cpus=2, gpus=1), width=80)
    assert text.splitlines() == [
        "mine: 0 of 1 cells complete",
        "",
        "stage       stages  state   each                from",
        "data             1  cached  1 min 40 s          measured",
        "bank             2  new     36 s to 1 min 15 s  5 by images x budgets",
        "policy           2  new     9 s                 2 like it",
        "evaluation       1  new     not known           nothing like it was run",
        "",
        "6 stages: 1 cached, 5 new",
        "CPU-hours: 0.0358 (bank 0.031, policy 0.005, and 1 stage not known)",
        "critical path: 1 min 33 s: bank > 2 x policy",
        "in all: about 1 min 33 s, and 1 stage not known on 2 CPUs",
    ]


def test_a_finished_suite_has_nothing_to_do_and_a_gpu_is_told():
    done = [row("cached", seconds=1.0)]
    assert plan_text("mine", done, plan_totals(done, cpus=2, gpus=1)).endswith("nothing to do")
    gpu = [row("new", gpus=0.5)]
    text = plan_text("mine", gpu, plan_totals(gpu, cpus=2, gpus=4))
    assert "GPU-hours: 0.00111 (data 0.0011)" in text
    assert text.endswith("in all: about 8 s on 2 CPUs, 4 GPUs")


def test_a_plan_fits_a_terminal(plan, small_run):
    rows = plan(small_run.store)
    text = plan_text("small", rows, plan_totals(rows, cpus=2, gpus=1), width=80)
    assert max(map(len, text.splitlines())) <= 80
