import json

import pytest

from bench.errors import UserError
from bench.records.reading import read_suite
from bench.records.runs import FILE, Run, now, read_runs, superseded_by, with_run, write_runs


def run(started, *cells):
    return Run(started, started, "/suite.yaml", cells)


def test_runs_are_read_as_they_were_written(tmp_path):
    assert read_runs(tmp_path) == []
    runs = [run("1", "a", "b"), run("2", "b", "c")]
    write_runs(tmp_path, runs)
    assert read_runs(tmp_path) == runs
    assert now() < now()


def test_the_later_start_wins_whichever_ends_first():
    first, second = run("1", "a"), run("2", "b")
    assert with_run(second, [first]) == with_run(first, [second]) == [first, second]


def test_a_version_that_runs_again_is_still_one():
    (again,) = with_run(run("2", "a"), [run("1", "a")])
    assert (again.first, again.started) == ("1", "2")
    back = with_run(run("3", "a"), [run("1", "a"), run("2", "b")])
    assert [one.started for one in back] == ["1", "2", "3"]


def test_a_record_is_superseded_by_the_run_that_no_longer_had_its_cell():
    runs = [run("1", "a", "b"), run("2", "b"), run("3", "c")]
    found = {key: superseded_by(key, runs) for key in "abcx"}
    # Nobody knows when x has run: it was before all that is known.
    assert found == {"a": runs[1], "b": runs[2], "c": None, "x": runs[0]}


@pytest.mark.parametrize("spoil", ["truncate", "empty", "flip", "foreign", "a key less"])
def test_a_damaged_account_is_refused_with_its_remedy(tmp_path, spoil):
    write_runs(tmp_path, [run("1", "a"), run("2", "b")])
    path = tmp_path / FILE
    text = path.read_text()
    less = {key: value for key, value in json.loads(text.splitlines()[0]).items() if key != "file"}
    path.write_text(
        {
            "truncate": text[:-20],
            "empty": "",
            "flip": text.replace('"b"', '"c"'),
            "foreign": "[1, 2]\n",
            "a key less": json.dumps(less),
        }[spoil]
    )
    with pytest.raises(UserError, match=r"runs.jsonl: damaged, .*; run the suite again, ") as error:
        read_runs(tmp_path)
    assert "\n" not in str(error.value)


def test_an_account_of_a_newer_version_is_refused(tmp_path):
    write_runs(tmp_path, [run("1", "a")])
    path = tmp_path / FILE
    path.write_text(path.read_text().replace('"version": 1', '"version": 2'))
    with pytest.raises(UserError, match=r"runs.jsonl: written by a newer adatok-bench"):
        read_runs(tmp_path)


def test_cells_of_the_last_run_without_a_record_are_counted(tmp_path, made_record):
    record = made_record(cell_key="a")
    (tmp_path / "a.json").write_text(record.model_dump_json(exclude_unset=True))
    write_runs(tmp_path, [run("1", "a", "b")])
    found = read_suite(tmp_path)
    assert [one.cell_key for one in found.records] == ["a"]
    assert found.notes == ("1 cells of the suite have no record yet",)
    write_runs(tmp_path, [run("1", "b")])
    with pytest.raises(UserError, match="no current cell of the suite has a record; run it"):
        read_suite(tmp_path)
