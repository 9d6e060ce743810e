import moocore
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adatok_core.hypervolume import hypervolume

deterministic = settings(deadline=None, derandomize=True, max_examples=100)
coordinate = st.floats(-1, 2, allow_subnormal=False)
point = st.tuples(coordinate, coordinate)
front = st.lists(point, max_size=12)
ORIGIN = (0.0, 0.0)


@pytest.mark.parametrize(
    ("points", "reference", "area"),
    [
        ([], ORIGIN, 0),
        ([(2, 3)], ORIGIN, 6),
        ([(2, 3)], (1, 1), 2),
        ([(2, 3)], (-1, -1), 12),
        ([(1, 3), (2, 2), (3, 1)], ORIGIN, 6),
        ([(1, 3), (2, 2), (3, 1), (1, 1), (2, 2)], ORIGIN, 6),
        ([(2, 1), (2, 3), (1, 3)], ORIGIN, 6),
        ([(2, -1)], ORIGIN, 0),
        ([(-1, -1)], ORIGIN, 0),
        ([(1, 1)], (1, 0), 0),
    ],
)
def test_known_areas(points, reference, area):
    assert hypervolume(points, reference) == area


def test_points_below_the_reference_in_one_coordinate_add_nothing():
    # A sweep that does not clip takes the second point's strip off again.
    assert hypervolume([(1, 1), (2, -1)], ORIGIN) == hypervolume([(1, 1)], ORIGIN) == 1


@deterministic
@given(front, point)
def test_a_point_more_never_takes_area_away(points, extra):
    more = hypervolume([*points, extra], ORIGIN) - hypervolume(points, ORIGIN)
    assert more >= -1e-12


@deterministic
@given(st.lists(point, min_size=1, max_size=12), st.floats(0, 1), st.integers(0, 1))
def test_better_points_have_no_less_area(points, by, axis):
    better = np.array(points)
    better[0, axis] += by
    assert hypervolume(better, ORIGIN) >= hypervolume(points, ORIGIN) - 1e-12


@deterministic
@given(front, st.randoms(use_true_random=False))
def test_the_order_of_the_points_does_not_matter(points, random):
    shuffled = random.sample(points, len(points))
    assert hypervolume(shuffled, ORIGIN) == hypervolume(points, ORIGIN)


@pytest.mark.parametrize("seed", range(5))
def test_dominated_points_do_not_change_a_bit(seed):
    # A weighting takes any gain above 0 for progress, rounding included.
    generator = np.random.default_rng(seed)
    angles = generator.uniform(0, np.pi / 2, 30)
    front = np.stack([np.cos(angles), np.sin(angles)], -1)
    area = hypervolume(front, ORIGIN)
    points = list(front)
    for dominated in front * generator.uniform(0, 1, front.shape):
        points.append(dominated)
        assert hypervolume(points, ORIGIN) == area


@deterministic
@given(front, point)
def test_the_area_is_the_share_of_a_grid_that_is_dominated(points, reference):
    cells = 200
    axes = [low + (np.arange(cells) + 0.5) / cells * (2 - low) for low in reference]
    x, y = np.meshgrid(*axes)
    dominated = np.zeros((cells, cells), dtype=bool)
    for a, b in points:
        dominated |= (x <= a) & (y <= b)
    box = (2 - reference[0]) * (2 - reference[1])
    # A staircase cuts through at most two cells per row or column.
    assert hypervolume(points, reference) == pytest.approx(dominated.mean() * box, abs=18 / cells)


@deterministic
@given(st.lists(point, min_size=1, max_size=12), point)
def test_agrees_with_moocore(points, reference):
    # Moocore's coordinates are smaller-is-better.
    expected = moocore.hypervolume(-np.array(points), ref=-np.array(reference))
    assert hypervolume(points, reference) == pytest.approx(expected, rel=1e-12, abs=1e-15)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_coordinates_that_are_not_finite_are_refused(bad):
    with pytest.raises(ValueError, match="must be finite"):
        hypervolume([(bad, 1.0)], ORIGIN)
    with pytest.raises(ValueError, match="must be finite"):
        hypervolume([(1.0, 1.0)], (0.0, bad))
