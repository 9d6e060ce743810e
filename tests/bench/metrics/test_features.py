import numpy as np
import pytest

from bench.metrics.features import row_blocks


def test_blocks_cover_the_rows_in_order_as_float64():
    features = np.arange(14, dtype=np.float32).reshape(7, 2)
    blocks = list(row_blocks(features, 3))
    assert [len(rows) for rows in blocks] == [3, 3, 1]
    assert {rows.dtype for rows in blocks} == {np.dtype(np.float64)}
    np.testing.assert_array_equal(np.concatenate(blocks), features)


def test_blocks_are_copies():
    features = np.zeros((2, 2))
    next(row_blocks(features, 2))[:] = 1
    assert features.sum() == 0


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused(bad):
    features = np.zeros((5, 2))
    features[3, 1] = bad
    with pytest.raises(ValueError, match="rows 2"):
        list(row_blocks(features, 2))
