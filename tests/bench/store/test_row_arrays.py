import json

import numpy as np
import pytest

from bench.store.row_arrays import RowArrays

MSE = np.linspace(0, 1, 30, dtype=np.float32).reshape(10, 3)
IDS = np.arange(40, dtype=np.uint16).reshape(10, 4)


@pytest.fixture
def arrays(tmp_path):
    """Two of three parts of ten rows, the last one first."""
    arrays = RowArrays(tmp_path, 10)
    arrays.write(8, {"mse": MSE[8:], "ids": IDS[8:]})
    arrays.write(0, {"mse": MSE[:4], "ids": IDS[:4]})
    return arrays


def test_parts_in_any_order_make_the_arrays_that_numpy_writes(arrays, tmp_path):
    assert [arrays.has(*part) for part in ((0, 4), (4, 8), (8, 10))] == [True, False, True]
    # Another process, which knows of no others.
    RowArrays(tmp_path, 10).write(4, {"mse": MSE[4:8], "ids": IDS[4:8]})
    assert arrays.has(4, 8)
    assert (arrays.names(), arrays.marked) == (["ids", "mse"], 3)
    arrays.finish()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ids.npy", "mse.npy"]
    np.save(tmp_path / "expected.npy", MSE)
    assert (tmp_path / "mse.npy").read_bytes() == (tmp_path / "expected.npy").read_bytes()
    np.testing.assert_array_equal(arrays.array("ids"), IDS)


def flip(path):
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def change_mark(path):
    path.write_text(json.dumps({**json.loads(path.read_text()), "last": 9}))


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("mse.npy", flip),
        ("mse.npy", lambda path: path.write_bytes(path.read_bytes()[:-1])),
        ("mse.npy", lambda path: path.unlink()),
        ("part-000000008.json", change_mark),
        ("part-000000008.json", lambda path: path.write_text("{")),
    ],
)
def test_a_torn_part_is_none(arrays, tmp_path, name, change):
    change(tmp_path / name)
    assert not arrays.has(8, 10)


def test_a_part_of_another_stage_or_number_of_rows_is_none(arrays, tmp_path):
    assert not arrays.has(0, 5)
    assert not RowArrays(tmp_path, 11).has(0, 4)
    moved = tmp_path.rename(tmp_path.with_name("elsewhere"))
    assert not RowArrays(moved, 10).has(0, 4)


def test_parts_that_differ_in_kind_are_refused(arrays):
    arrays.write(4, {"mse": MSE[4:8].astype(np.float64)})
    with pytest.raises(RuntimeError, match="differ in kind"):
        arrays.names()
