from concurrent.futures import ThreadPoolExecutor

import pytest

from bench.graph.suite_graph import build_graph
from bench.records.reading import read_suite
from bench.records.runs import FILE, read_runs
from bench.run.recording import build_record, write_run
from bench.run.runner import RunResult
from bench.run.views import show_in_mlflow, show_reports
from bench.store.store import Store


@pytest.fixture
def store(tmp_path):
    return Store.open(tmp_path / "store")


@pytest.fixture
def versions(load, small, store):
    """Two versions of a suite with the records of their cells, none of which has run.

    They have a cell in common, which the second calls by another name.
    """
    found = []
    for place, names in enumerate((["elastic", "policy"], ["renamed", "diverged"])):
        arms = [small["arms"][0] | {"name": names[0]}, small["arms"][place + 1]]
        suite = load({**small, "arms": arms}, f"{place}.yaml")
        ends = build_graph(suite).ends
        cells = zip(suite.cells, ends, strict=True)
        found.append((suite, [build_record(suite, cell, end, store) for cell, end in cells]))
    return found


@pytest.fixture
def write(versions, store):
    """`write(version, started)`: the result of its run, and what it said."""

    def write(version, started):
        suite, records = versions[version]
        said = []
        paths = write_run(store, suite, records, started=started, say=said.append)
        return RunResult(records, paths, 0), said

    return write


def labels(store):
    return {record.label for record in read_suite(store.root / "records" / "small").records}


@pytest.mark.parametrize("ends", [(0, 1), (1, 0)])
def test_of_two_runs_at_once_the_later_start_wins(write, store, ends):
    said = {}
    results = {}
    for version in ends:
        results[version], said[version] = write(version, f"2026-01-0{version + 1}")
    assert labels(store) == {"renamed", "diverged: seed 0", "diverged: seed 1"}
    last = said[ends[1]]
    if ends[1] == 0:
        assert "superseded by a run that was started later, of " in last[0]
        assert last[0].endswith("1.yaml")
        # Its views would show other cells than the records do.
        assert show_reports("small", ("summary",), results[0], store) == []
        show_in_mlflow("small", results[0], store, uri="http://127.0.0.1:9")
    else:
        assert last == [
            "small: left out: 2 superseded records of cells that the suite no longer has"
        ]


def test_runs_that_end_together_leave_a_whole_account(write, store):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: write(number % 2, f"2026-01-{number + 10}"), range(16)))
    runs = read_runs(store.root / "records" / "small")
    assert runs[-1].started == "2026-01-25"
    assert [run.started for run in runs] == sorted(run.started for run in runs)
    assert labels(store) == {"renamed", "diverged: seed 0", "diverged: seed 1"}


def test_a_damaged_account_is_written_anew_and_said(write, store):
    write(0, "2026-01-01")
    path = store.root / "records" / "small" / FILE
    path.write_text("torn")
    _, said = write(0, "2026-01-02")
    assert said == [f"warning: {path}: damaged, and written anew"]
    assert [run.started for run in read_runs(path.parent)] == ["2026-01-02"]


def test_a_report_that_a_version_no_longer_has_leaves_no_files(small_run, store, vary_record):
    folder = store.root / "records" / "small"
    folder.mkdir(parents=True)
    record = small_run.record("elastic")
    path = folder / f"{record.cell_key}.json"
    path.write_text(record.model_dump_json(exclude_unset=True))
    result = RunResult([record], [path], 0)
    (made,) = show_reports("small", ("summary",), result, store)
    assert made.files[0].is_file()
    assert show_reports("small", (), result, store) == []
    assert not made.files[0].exists()
