import matplotlib as mpl

from reports.style import MARKERS, PALETTE, paper_style


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
