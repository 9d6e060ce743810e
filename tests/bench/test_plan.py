from collections import Counter

import pytest

from bench.graph import build_graph
from bench.plan import plan_suite
from bench.store import Store


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
        assert "expected_seconds" not in row
    assert [row["level"] for row in rows] == sorted(row["level"] for row in rows)
    assert not (tmp_path / "store").exists()


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
    took = [row["seconds"] for row in rows if (row["stage"], row["state"]) == ("bank", "cached")]
    (left,) = (row for row in rows if (row["stage"], row["state"]) == ("bank", "new"))
    assert min(took) > 0
    assert left["seconds"] is None
    assert left["expected_seconds"] == pytest.approx(sum(took) / 3)
    (cached,) = (row for row in rows if row["key"] == small_run.spec("elastic").key)
    described = small_run.store.description("evaluation", cached["key"])
    assert cached["seconds"] == described["seconds"]
