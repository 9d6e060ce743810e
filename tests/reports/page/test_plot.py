import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.page.plot import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, make_plot, nice_ticks
from reports.page.points import lines, points, shown_metrics
from reports.paper.style import PALETTE, color_of, paper_style


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6))
def test_ticks_enclose_the_values_in_even_steps(low, width):
    ticks = nice_ticks(low, low + width)
    rounding = 1e-12  # of the ticks, which are rounded to as many decimals
    assert ticks[0] <= low + 1e-9 * abs(low) + rounding
    assert ticks[-1] >= low + width - 1e-9 * abs(low + width) - rounding
    assert 2 <= len(ticks) <= 8
    steps = [b - a for a, b in itertools.pairwise(ticks)]
    assert max(steps) == pytest.approx(min(steps), rel=1e-3)


def test_ticks_of_one_value_have_room():
    assert nice_ticks(0.5, 0.5)[0] < 0.5 < nice_ticks(0.5, 0.5)[-1]


def drawn(records):
    found = points(records)
    metrics = shown_metrics(found)
    with paper_style():
        plot = make_plot(found, lines(records, metrics), metrics)
        colors = [color_of(name) for name, _ in plot.series]
    return found, plot, colors


def test_points_lie_where_their_numbers_say(tokenizer, policy):
    found, plot, _ = drawn([tokenizer(), policy()])
    panel = plot.panels[0]
    assert panel.metric == "mse"
    (y0, low), *_, (y1, high) = panel.y_ticks
    (x0, first), *_, (x1, last) = panel.x_ticks
    for mark in panel.marks:
        point = found[mark.point]
        share = (mark.x - x0) / (x1 - x0)
        tokens = math.log2(float(first)) + share * math.log2(float(last) / float(first))
        assert tokens == pytest.approx(math.log2(point.tokens), abs=0.01)
        value = float(low) + (mark.y - y0) / (y1 - y0) * (float(high) - float(low))
        assert value == pytest.approx(point.values["mse"], abs=1e-4)
        assert LEFT <= mark.x <= WIDTH - RIGHT
        assert TOP <= mark.y <= HEIGHT - BOTTOM


def test_colours_are_those_of_the_figures_and_ink_is_for_fixed_lengths(
    tokenizer, policy, one_length
):
    _, plot, colors = drawn([tokenizer(), policy(), one_length()])
    assert plot.series[0] == ("elastic", f"c{PALETTE.index(colors[0])}")
    assert plot.series[1] == ("fixed", "ink")


def test_a_metric_has_only_its_own_points(tokenizer, policy, vary):
    bare = vary(policy(), without=["psnr"])
    found, plot, _ = drawn([tokenizer(), bare])
    counts = {panel.metric: len(panel.marks) for panel in plot.panels}
    assert (counts["mse"], counts["psnr"], len(found)) == (5, 4, 5)


def test_nothing_gives_no_panel(tokenizer, failed):
    assert drawn([failed(tokenizer())])[1].panels == ()
