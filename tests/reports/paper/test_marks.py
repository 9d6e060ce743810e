import math

import pandas as pd
import pytest
from matplotlib.figure import Figure

from bench.statistics.intervals import student_interval
from reports.paper.marks import draw_intervals, draw_mean, ends, row_axis


def segments(axes):
    """Ends of all lines of intervals."""
    return [line.tolist() for bars in axes.collections for line in bars.get_segments()]


@pytest.mark.parametrize("across", [False, True])
def test_intervals_run_from_low_to_high_and_means_without_bounds_have_none(across):
    means = pd.DataFrame({"value": [3.0, 5.0], "low": [2.0, math.nan], "high": [4.5, math.nan]})
    axes = Figure().subplots()
    places = [means["value"], [1, 2]] if across else [[1, 2], means["value"]]
    draw_intervals(axes, *places, means, color="black", across=across)
    expected = [[2.0, 1.0], [4.5, 1.0]] if across else [[1.0, 2.0], [1.0, 4.5]]
    assert segments(axes) == [expected]
    draw_intervals(axes, *places, means.assign(low=math.nan), color="black", across=across)
    assert len(axes.collections) == 1


def test_a_mean_of_one_has_no_interval():
    data = pd.DataFrame({"low": [2.0, math.nan], "high": [4.5, math.nan], "n": [3, 1]})
    axes = Figure().subplots()
    for place, row in enumerate(data.itertuples()):
        draw_mean(axes, place, 3.0, row)
    assert segments(axes) == [[[0.0, 2.0], [0.0, 4.5]]]


def test_ends_are_multiplied_and_the_number_is_not():
    over = student_interval([0.1, 0.2, 0.3])
    assert ends(over, times=100) == (100 * over.mean, 100 * over.low, 100 * over.high, 3)


def test_the_first_row_is_at_the_top():
    axes = Figure().subplots()
    row_axis(axes, ["first", "second"])
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["first", "second"]
    low, high = axes.get_ylim()
    assert low > high
