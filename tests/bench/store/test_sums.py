import pytest

from bench.errors import UserError
from bench.store.sums import is_as_written, read_summed, sum_path, write_summed

VALUE = {"psnr": 20.5}


@pytest.fixture
def record(tmp_path):
    path = tmp_path / "records" / "suite" / "cell.json"
    write_summed(path, VALUE)
    return path


def written(path):
    return path.stat().st_mtime_ns, sum_path(path).stat().st_mtime_ns


def test_what_is_there_already_is_not_written_again(record):
    before = written(record)
    write_summed(record, VALUE)
    assert written(record) == before
    write_summed(record, {"psnr": 21.5})
    assert not set(written(record)) & set(before)
    assert is_as_written(record)


@pytest.mark.parametrize("damaged", [lambda path: path, sum_path])
def test_a_change_of_either_is_found_and_mended(record, damaged):
    path = damaged(record)
    path.write_bytes(b"9{}" + path.read_bytes()[3:])
    with pytest.raises(UserError, match="suite 'suite'"):
        read_summed(record)
    write_summed(record, VALUE)
    assert b"20.5" in read_summed(record)


def test_a_record_without_its_hash_gets_one(record):
    sum_path(record).unlink()
    assert is_as_written(record)
    write_summed(record, VALUE)
    assert sum_path(record).is_file()
