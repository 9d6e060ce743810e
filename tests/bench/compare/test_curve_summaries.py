import math

import moocore
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.compare.curve_summaries import (
    Curve,
    HypervolumeReference,
    area_under,
    bd_rate,
    curve_hypervolume,
    quality_of,
    require_one_grid,
)
from bench.errors import UserError

PSNR = (16.0, 18.5, 20.0, 22.0, 23.0)
TOKENS = (1.0, 2.0, 4.0, 8.0, 16.0)
CURVE = Curve(TOKENS, PSNR)

gains = st.lists(st.floats(0.1, 5), min_size=4, max_size=9)


def rising(gains):
    return Curve(tuple(2.0 ** np.arange(len(gains))), tuple(np.cumsum(gains).tolist()))


@settings(deadline=None)  # The first call imports the package.
@given(gains)
def test_a_curve_against_itself_is_0_and_at_0_8_times_the_rate_is_minus_20_percent(gains):
    curve = rising(gains)
    assert bd_rate(curve, curve).percent == pytest.approx(0, abs=1e-6)
    cheaper = Curve(tuple(0.8 * rate for rate in curve.rates), curve.quality)
    found = bd_rate(cheaper, curve)
    assert found.percent == pytest.approx(-20, abs=1e-6)
    assert (found.overlap, found.points) == (1, len(gains))
    assert bd_rate(curve, cheaper).percent == pytest.approx(25, abs=1e-6)


def test_bits_are_a_rate_as_tokens_are():
    bits = Curve(tuple(12 * rate for rate in TOKENS), PSNR)
    fewer = Curve(tuple(9 * rate for rate in TOKENS), PSNR)
    assert bd_rate(fewer, bits).percent == pytest.approx(-25, abs=1e-6)


@settings(deadline=None)
@given(gains, gains, st.floats(0.1, 10), st.floats(-50, 50))
def test_the_unit_of_quality_does_not_matter(first, second, scale, shift):
    a, b = rising(first), rising(second)

    def moved(curve):
        return Curve(curve.rates, tuple(scale * q + shift for q in curve.quality))

    try:
        expected = bd_rate(a, b)
    except ValueError:
        return
    if expected.overlap > 0.51:
        assert bd_rate(moved(a), moved(b)).percent == pytest.approx(expected.percent, rel=1e-5)


def test_curves_of_different_grids_are_compared_and_the_shorter_is_counted():
    other = Curve((1.0, 3.0, 9.0, 16.0), (16.2, 19.5, 22.4, 23.1))
    assert bd_rate(other, CURVE).points == 4
    assert bd_rate(other, CURVE).percent < 0


def test_overlap_is_the_shared_quality_of_the_whole():
    higher = Curve(TOKENS, tuple(value + 2 for value in PSNR))
    assert bd_rate(higher, CURVE).overlap == pytest.approx(5 / 9)


@pytest.mark.parametrize(
    ("curve", "reason"),
    [
        (Curve(TOKENS[:3], PSNR[:3]), "3 points, and a BD-rate needs 4"),
        (Curve(TOKENS, tuple(v + 4 for v in PSNR)), "share 27% of their quality"),
        (Curve(TOKENS, tuple(v + 40 for v in PSNR)), "share 0% of their quality"),
        (Curve(TOKENS, (16, 18, 18, 20, 23)), "does not increase"),
        (Curve(TOKENS, PSNR[::-1]), "does not increase"),
    ],
)
def test_what_a_bd_rate_cannot_say_is_refused(curve, reason):
    for pair in ((curve, CURVE), (CURVE, curve)):
        with pytest.raises(ValueError, match=reason):
            bd_rate(*pair)


@pytest.mark.parametrize(
    ("rates", "quality", "reason"),
    [
        ((), (), "at least one"),
        ((1.0, 2.0), (1.0,), "for each of its rates"),
        ((0.0, 2.0), (1.0, 2.0), "positive rates"),
        ((1.0, 2.0), (1.0, math.nan), "finite"),
        ((2.0, 2.0), (1.0, 2.0), "must increase"),
        ((2.0, 1.0), (1.0, 2.0), "must increase"),
    ],
)
def test_what_is_no_curve_is_refused(rates, quality, reason):
    with pytest.raises(ValueError, match=reason):
        Curve(rates, quality)


def test_quality_is_larger_where_the_metric_is_better():
    assert quality_of("psnr", [18, 20]) == (18.0, 20.0)
    assert quality_of("fd_lite0", [math.e, 1.0]) == pytest.approx((-1, 0))
    with pytest.raises(ValueError, match="no logarithm"):
        quality_of("kid_lite0", [0.1, -0.001])
    with pytest.raises(UserError, match="did you mean 'psnr'"):
        quality_of("psnrr", [1.0])


def test_the_area_is_over_octaves():
    assert area_under(Curve((2.0, 4.0, 16.0), (1.0, 3.0, 3.0))) == pytest.approx(2 + 6)
    assert area_under(Curve(TOKENS, (5.0,) * 5)) == pytest.approx(4 * 5)
    with pytest.raises(ValueError, match="an area needs 2"):
        area_under(Curve((2.0,), (1.0,)))


def test_areas_need_one_grid():
    require_one_grid([CURVE, Curve(TOKENS, PSNR[::-1])])
    with pytest.raises(ValueError, match=r"other rates: 1-2-4-8-16 and 1-2-4-8$"):
        require_one_grid([CURVE, CURVE, Curve(TOKENS[:4], PSNR[:4])])


def test_the_hypervolume_by_hand():
    reference = HypervolumeReference(rate=8.0, quality=10.0)
    assert curve_hypervolume(Curve((2.0,), (13.0,)), reference) == pytest.approx(2 * 3)
    steps = Curve((2.0, 4.0), (11.0, 13.0))  # 1 octave at height 3, one more at height 1
    assert curve_hypervolume(steps, reference) == pytest.approx(3 + 1)
    beyond = Curve((1.0, 2.0, 16.0), (9.0, 13.0, 20.0))
    assert curve_hypervolume(beyond, reference) == pytest.approx(2 * 3)


@given(gains, st.floats(2, 64), st.floats(0, 5))
def test_the_hypervolume_agrees_with_moocore(gains, rate, quality):
    curve, reference = rising(gains), HypervolumeReference(rate, quality)
    points = np.column_stack([np.log2(curve.rates), -np.array(curve.quality)])
    expected = moocore.hypervolume(points, ref=[math.log2(rate), -quality])
    assert curve_hypervolume(curve, reference) == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_a_dominated_point_changes_no_hypervolume():
    reference = HypervolumeReference(32.0, 15.0)
    more = Curve((1.0, 2.0, 3.0, 4.0, 8.0, 16.0), (16.0, 18.5, 17.0, 20.0, 22.0, 23.0))
    assert curve_hypervolume(more, reference) == curve_hypervolume(CURVE, reference)
