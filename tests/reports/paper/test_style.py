import matplotlib as mpl
import pytest

from reports.paper.style import MARKERS, PALETTE, color_of, look, look_of, paper_style, width_inches


def test_the_style_holds_inside_its_context_only():
    before = mpl.rcParams["font.size"], mpl.rcParams["svg.hashsalt"]
    with paper_style():
        assert mpl.get_backend().lower() == "agg"
        assert mpl.rcParams["font.size"] == 8
        assert mpl.rcParams["pdf.fonttype"] == 42  # embedded as TrueType, as publishers ask for
        assert mpl.rcParams["svg.hashsalt"] == "adatok"
        assert not mpl.rcParams["axes.spines.top"]
    assert (mpl.rcParams["font.size"], mpl.rcParams["svg.hashsalt"]) == before


def test_no_two_series_share_colour_and_marker():
    assert len(set(PALETTE)) == len(PALETTE)
    assert len(set(MARKERS)) == len(MARKERS)
    assert len({(look(i)["color"], look(i)["marker"]) for i in range(36)}) == 36


def test_a_report_has_one_width():
    with paper_style("column"):
        assert width_inches() == 3.4
        with paper_style():  # as each figure does
            assert width_inches() == 3.4
        with paper_style("page"):
            assert width_inches() == 7.0
    with paper_style():
        assert width_inches() == 7.0


def test_a_system_keeps_its_colour_within_a_report_only():
    with paper_style("column"):
        first = look_of("a")
        with paper_style():
            second = look_of("b")
            assert look_of("a") == first
        assert color_of("b") == second["color"] != first["color"]
        with paper_style("page"):
            assert color_of("b") == PALETTE[0]
    with paper_style():
        assert color_of("b") == PALETTE[0]


def test_an_unknown_size_is_refused_and_so_is_drawing_without_a_style():
    with (
        pytest.raises(ValueError, match="size must be one of column, page, not 'wide'"),
        paper_style("wide"),
    ):
        pass
    for needs_style in (width_inches, lambda: color_of("a")):
        with pytest.raises(LookupError, match="inside `paper_style"):
            needs_style()


def test_settings_of_the_user_change_nothing_and_come_back():
    with mpl.rc_context({"font.size": 30.0, "text.usetex": True, "axes.titlesize": "xx-large"}):
        with paper_style():
            assert (mpl.rcParams["font.size"], mpl.rcParams["text.usetex"]) == (8, False)
        assert (mpl.rcParams["font.size"], mpl.rcParams["text.usetex"]) == (30, True)
