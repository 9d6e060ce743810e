import csv

import pytest

from reports.analysis.suites import read_parts
from reports.page import building


@pytest.fixture
def build(write_records, only_figures, tmp_path):
    """`build(records, figures=("pareto",))`: the report's folder, and the text of its page."""

    def build(records, *, figures=("pareto",), **options):
        if figures is not None:
            only_figures(*figures)
        store = write_records(records)
        names = list(dict.fromkeys(record.suite for record in records))
        parts = read_parts(names, store)
        built = building.build_report(parts, tmp_path / "report", store=store, **options)
        assert built.broken == ()
        return built.page.parent, built.page.read_text("utf-8")

    return build


@pytest.fixture
def suite(tokenizer, policy):
    """A tokenizer and two seeds of a policy."""
    return [tokenizer(), *(policy(seed=seed, skill=0.5 + seed / 50) for seed in (0, 1))]


def files(folder):
    return {path.relative_to(folder).as_posix(): path for path in folder.rglob("*.*")}


def test_layout(build, suite):
    folder, _ = build(suite)
    found = files(folder)
    assert {"index.html", "tables/made/comparison.tex", "tables/made/comparison.md"} <= set(found)
    for ending in ("png", "pdf", "csv"):
        assert f"figures/made/pareto.{ending}" in found
    assert {name.split("/")[0] for name in found} == {"index.html", "figures", "tables"}


def test_built_again_it_is_the_same_byte_for_byte(build, suite):
    before = {name: path.read_bytes() for name, path in files(build(suite)[0]).items()}
    after = {name: path.read_bytes() for name, path in files(build(suite)[0]).items()}
    assert before == after


def test_protocols_stand_apart_and_one_table_never_mixes_them(build, suite, tokenizer, vary):
    other = vary(tokenizer("other"), suite="apart", protocol_hash="f" * 16)
    folder, page = build([*suite, other])
    with (folder / "tables/made/comparison.csv").open() as file:
        assert "other" not in {row["tokenizer"] for row in csv.DictReader(file)}
    assert "measured under 2 protocols" in page
    assert page.index('id="suite-0"') < page.index('id="suite-1"')


def test_width_reaches_the_figures(build, suite):
    def width(folder):
        return int.from_bytes((folder / "figures/made/pareto.png").read_bytes()[16:20], "big")

    assert width(build(suite, width="column")[0]) * 2 < width(build(suite, width="page")[0]) + 100


def test_progress_is_said(build, suite):
    said = []
    build(suite, say=said.append)
    assert said == ["made: 3 cells"]


def test_failed_cells_appear_as_such(build, suite, tokenizer, failed):
    folder, page = build([*suite, failed(tokenizer("lost"))])
    assert "1 of 4 cells have no result" in page
    assert "failed: tokenizer: DivergedError: loss is not finite" in page
    assert "failed" in (folder / "tables/made/cells.tex").read_text()
    assert "failed" in (folder / "tables/made/comparison.md").read_text()


def test_a_suite_whose_cells_all_failed_says_so(build, tokenizer, failed):
    folder, page = build([failed(tokenizer(seed=seed)) for seed in (0, 1)])
    assert "No cell of this suite has a result: 2 failed." in page
    assert "Not made: no cell that reconstructs has a result." in page
    assert "not drawn" in page
    assert not [name for name in files(folder) if name.endswith(".png")]


def test_a_single_seed_says_that_there_is_no_interval(build, tokenizer, policy):
    _, page = build([tokenizer(), policy()])
    assert "One seed, so no interval and no verdict" in page
    assert "one policy seed, no interval" in page


def test_a_collapsed_policy_is_called_so(build, tokenizer, policy):
    collapsed = [policy(seed=seed, collapsed=True, skill=None) for seed in (0, 1)]
    _, page = build([tokenizer(), *collapsed])
    assert "2 of 2 collapsed to one budget" in page
    assert '"kind": "collapsed"' in page


def test_no_figure_breaks_on_an_awkward_suite(build, suite, tokenizer, policy, vary, failed):
    """Missing metrics, single seeds, a collapsed policy and failed cells, all at once."""
    suite += [failed(tokenizer("lost")), failed(policy(seed=9)), tokenizer("alone")]
    suite.append(policy("gone", collapsed=True, skill=None))
    for rank, metric in enumerate(("fd_lite0", "perceptual", "psnr", "allocation_skill")):
        swept = {"tokenizer.lora.rank": rank}
        one, other = tokenizer(metric, swept=swept), policy(f"policy {metric}", swept=swept)
        suite += [vary(one, without=[metric]), vary(other, without=[metric])]
    _, page = build(suite, figures=None)
    assert "not measured" in page


def test_names_of_arms_are_text_and_never_markup(build, tokenizer):
    _, page = build([tokenizer("<b>&\"'</b>"), tokenizer("</script><script>alert(1)</script>")])
    assert "<b>&" not in page
    assert "alert(1)</script>" not in page
    assert page.count("<script") == 2


def test_published_results_reach_their_figure(build, suite, tmp_path):
    source = tmp_path / "published.yaml"
    source.write_text(
        "metric: fd_lite0\nunit: lower is better\ndataset: some images\n"
        "rows: [{system: TiTok-L, tokens: 4, fd_lite0: 1700, source: made up}]\n"
    )
    folder, page = build(suite, published=source)
    assert "figures/made/pareto_published.png" in files(folder)
    assert "figures/made/pareto_published.png" in page
