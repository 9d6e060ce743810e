import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adatok_core.config import HypervolumeWeighting
from adatok_core.hypervolume import hypervolume
from adatok_core.weighting import StepView
from adatok_core.weighting.hypervolume import Hypervolume

ORIGIN = (0.0, 0.0)


def build(*, begin=ORIGIN, **options):
    options = {"reference": "untrained", "every": 1, "scale": 1.0} | options
    weighting = Hypervolume(HypervolumeWeighting(**options))
    weighting.begin(begin)
    return weighting


@pytest.fixture
def scale(view):
    """The scale of the advantages after the policy came to a point."""

    def scale(weighting, point, *, step=1):
        weighting.update(view(step=step, point=point))
        return weighting.advantage_scale

    return scale


def factor(gain, scale=1.0):
    return 0.5 + 1.5 * math.tanh(gain / scale)


@pytest.mark.parametrize("share", [0.2, 0.7])
def test_weights_stay_where_they_are_configured(share, scale):
    weighting = build(efficiency=share)
    scale(weighting, (1.0, 1.0))
    assert weighting.weights.tolist() == pytest.approx([1 - share, share])


def test_the_factor_is_apart_from_the_weights(scale):
    # In the weights, or the rewards, a division by the group's deviation would cancel it.
    helped, idle = build(), build()
    assert scale(helped, (1.0, 1.0)) > 1 > scale(idle, (0.0, 0.0))
    assert helped.weights.tolist() == idle.weights.tolist() == [0.5, 0.5]


def test_the_factor_starts_at_one_and_follows_the_volume_gained(scale):
    weighting = build()
    assert weighting.advantage_scale == 1
    assert scale(weighting, (0.5, 0.4)) == pytest.approx(factor(0.2))
    assert scale(weighting, (0.4, 0.4)) == 0.5
    assert scale(weighting, (0.3, 0.8)) == pytest.approx(factor(0.3 * 0.4))
    assert scale(weighting, (0.5, 0.8)) == pytest.approx(factor(0.2 * 0.4))
    assert scale(weighting, (0.5, 0.8)) == 0.5


def test_a_point_that_is_no_compromise_gains_nothing(scale):
    # The published code, which does not clip, raises for these: the volume falls by 1.
    weighting = build()
    assert scale(weighting, (1.0, 1.0)) == pytest.approx(factor(1))
    assert scale(weighting, (2.0, -1.0)) == 0.5
    assert weighting.state()["front"].tolist() == [[1.0, 1.0]]


def test_volume_is_taken_over_the_untrained_policy(scale):
    weighting = build(begin=(0.25, 0.5))
    assert scale(weighting, (0.75, 1.0)) == pytest.approx(factor(0.25))


def test_volume_is_taken_over_a_configured_reference(scale):
    # What the untrained policy has already is no gain.
    weighting = build(begin=(0.25, 0.5), reference=(0.0, 0.25))
    assert scale(weighting, (0.75, 1.0)) == pytest.approx(factor(0.75 * 0.75 - 0.25 * 0.25))


def test_the_policy_s_point_is_taken_every_so_many_steps(view, scale):
    weighting = build(every=3)
    for step in (1, 2):
        weighting.update(view(step=step))  # no point to look at
        assert weighting.advantage_scale == 1
    assert scale(weighting, (1.0, 1.0), step=3) == pytest.approx(factor(1))
    weighting.update(view(step=4))
    assert weighting.advantage_scale == pytest.approx(factor(1))


def test_gains_are_in_units_of_the_configured_scale(scale):
    assert scale(build(scale=0.1), (0.2, 0.2)) == pytest.approx(factor(0.04, 0.1))
    assert scale(build(scale=1e-6), (0.2, 0.2)) == pytest.approx(2)


def test_a_point_that_is_not_finite_is_refused(scale):
    with pytest.raises(ValueError, match="must be finite"):
        scale(build(), (math.nan, 0.5))


coordinate = st.floats(-1, 2, allow_subnormal=False)


@settings(deadline=None, derandomize=True, max_examples=100)
@given(st.lists(st.tuples(coordinate, coordinate), min_size=1, max_size=12))
def test_the_front_alone_gives_the_gains_of_all_points_that_helped(points):
    weighting = build()
    kept = []
    for step, point in enumerate(points):
        gain = max(0.0, hypervolume([*kept, point], ORIGIN) - hypervolume(kept, ORIGIN))
        kept += [point] if gain > 0 else []
        weighting.update(StepView(step + 1, None, None, None, lambda point=point: point))
        assert weighting.advantage_scale == pytest.approx(factor(gain), abs=1e-12)
    front = weighting.state()["front"].numpy()
    for one in front:
        assert (front >= one).all(-1).sum() == 1
    assert {tuple(one) for one in front} <= set(kept)
    assert hypervolume(front, ORIGIN) == pytest.approx(hypervolume(np.array(kept), ORIGIN))
