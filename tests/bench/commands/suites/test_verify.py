import json
import shutil

import pytest

from bench.records.reading import record_path
from bench.store.store import Store
from bench.store.sums import sum_path, write_summed


@pytest.fixture
def store(small_run, tmp_path):
    return Store(shutil.copytree(small_run.store.root, tmp_path / "store"))


@pytest.fixture
def verify(adatok, store):
    return lambda *arguments: adatok("verify", *arguments, "--store", store.root)


def test_a_record_stands_until_a_metric_is_edited_and_its_checksum_with_it(
    verify, small_run, store
):
    record = small_run.record("fixed_at_mean")
    path = record_path(store, "small", record.cell_key)
    answer = verify("small:fixed_at_mean")
    assert answer.code == 0, answer.out
    head, *lines = answer.out.splitlines()
    assert head == f"small: fixed_at_mean ({record.cell_key})"
    assert {line.split()[0] for line in lines} == {"stands", "left"}
    assert any(line.startswith("  stands    metrics: ") for line in lines)

    content = json.loads(path.read_text())
    true = content["metrics"]["psnr"]
    content["metrics"]["psnr"] = true + 1
    write_summed(path, content)
    answer = verify(path)
    assert (answer.code, answer.err) == (1, "")
    (line,) = (line for line in answer.out.splitlines() if "differs" in line)
    assert line == f"  differs   metrics: psnr {true + 1} recorded, {true} computed"


def test_a_file_that_was_altered_is_refused_before_anything_is_computed(verify, small_run, store):
    record = small_run.record("fixed_at_mean")
    path = record_path(store, "small", record.cell_key)
    path.write_text(path.read_text().replace('"psnr": ', '"psnr": 1'))
    answer = verify(path)
    assert (answer.code, answer.out) == (2, "")
    assert f"{path}: altered since it was written ({sum_path(path).name}" in answer.err
    answer = verify(record.cell_key)
    assert (answer.code, answer.out) == (2, "")
    assert "is not as it was written" in answer.err


def test_what_cannot_be_said_is_a_line_and_2(verify, small_run, store):
    answer = verify("small:diverged")
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.count("the cell has no result") == 2
    answer = verify(store.root / "nowhere.json")
    assert (answer.code, answer.out) == (2, "")
    assert "no such record" in answer.err
    record = small_run.record("fixed_at_mean")
    shutil.rmtree(store.root / "bank")
    path = record_path(store, "small", record.cell_key)
    sum_path(path).unlink()
    answer = verify(path)
    assert (answer.code, answer.out) == (2, "")
    note, error = answer.err.splitlines()
    assert note.endswith("so alterations are told by numbers alone")
    assert "stage.json is missing" in error
