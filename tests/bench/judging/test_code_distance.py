import math

import numpy as np
import pytest

from bench.judging.code_distance import Codes, code_histograms, hellinger


def codes(rows, lengths=None):
    values = np.array(rows)[..., None]
    return Codes(values, np.array(lengths or [values.shape[1]] * len(values)))


def test_known_distances():
    same, other = np.array([[0], [1], [1]]), np.array([[5], [5]])
    assert hellinger(same, np.repeat(same, 3, axis=0)) == pytest.approx(0, abs=1e-7)
    assert hellinger(same, other) == 1
    half = hellinger(np.array([[0], [0]]), np.array([[0], [1]]))
    assert half == pytest.approx(math.sqrt(1 - math.sqrt(0.5)))
    # Two parts of a token, one equal and one apart.
    assert hellinger(np.array([[0, 0]]), np.array([[0, 1]])) == pytest.approx(0.5)
    with pytest.raises(ValueError, match="one code or more"):
        hellinger(same[:0], same)


def test_codes_in_the_wrong_place_are_seen_by_position_alone():
    data = codes([[0, 1], [0, 1]])
    found = code_histograms(codes([[1, 0]]), data, data)
    assert (found.distance, found.reconstructions) == (0, 0)
    assert [row.distance for row in found.by_position] == [1, 1]
    assert found.metrics() == {
        "chd": 0, "chd_reconstructions": 0, "chd_position": 1, "chd_position_reconstructions": 0,
    }  # fmt: skip


def test_tokens_behind_an_images_last_one_do_not_count():
    data = codes([[0, 7], [0, 1], [0, 2]], lengths=[1, 2, 2])
    samples = codes([[0, 1, 9], [0, 2, 9], [3, 9, 9]], lengths=[2, 2, 1])
    found = code_histograms(samples, data, data)
    assert (found.tokens, found.tokens_data) == (5, 5)
    first, second = found.by_position
    assert (second.n, second.n_data, second.distance) == (2, 2, 0)
    assert (first.n, first.n_data) == (3, 3)
    assert found.metrics()["chd_position"] == pytest.approx(3 / 5 * first.distance)
    longer = code_histograms(codes([[0, 1, 2]]), data, data).by_position[2]
    assert (longer.n, longer.n_data, longer.distance) == (1, 0, None)
