"""Every figure on suites that went wrong: the right words, no crash and no blank figure."""

import pytest

from bench.errors import UserError
from bench.records.report_plugins import Figure, declared

pytestmark = pytest.mark.usefixtures("unrendered")
NAMES = [
    name
    for name in declared(Figure)
    if name not in ("baselines", "curve_summaries", "hypervolume_share", "summary")
]
OTHER_KINDS = ("extremes", "gallery", "generation", "throughput")
OWN_WORDS = ("allocation_skill", "prefix_curves", "settle")


@pytest.fixture
def make(tmp_path):
    """`make(name, records)`: the report, with an empty store."""

    def make(name, records):
        figure = declared(Figure)[name]
        return figure.make(records, tmp_path / "out", store=tmp_path / "store")

    return make


@pytest.mark.parametrize("name", [name for name in NAMES if name not in OWN_WORDS])
def test_an_empty_suite_is_said_to_be_empty(make, name, tmp_path):
    made = make(name, [])
    assert ": not drawn, " in made.text
    assert (made.files, made.title, made.alt) == ([], "", "")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", NAMES)
def test_where_all_cells_have_failed_their_errors_are_told(
    make, name, tokenizer, policy, failed, tmp_path
):
    made = make(name, [failed(tokenizer(reference_arm="elastic")), failed(policy())])
    assert made.files == []
    if name != "pareto":  # its text is of the figure alone, as that of a run is beside the table
        assert made.text.count("DivergedError: loss is not finite") == 2
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("pareto", "settle")])
def test_a_failed_cell_is_named_beside_the_figure(make, name, suite, failed, policy):
    made = make(name, [*suite, failed(policy("broken"))])
    assert "failed: broken" in made.text


@pytest.mark.parametrize("name", [name for name in declared(Figure) if name not in OTHER_KINDS])
def test_records_of_two_protocols_are_refused(make, name, suite, vary, tmp_path):
    suite[0] = vary(suite[0], protocol={**suite[0].protocol.plain(), "resolution": 64})
    with pytest.raises(UserError, match="protocol field 'resolution' differs"):
        make(name, suite)
    assert not (tmp_path / "out").exists()


@pytest.fixture
def suite(tokenizer, policy, vary):
    """Two arms of each, with shares; two sets of candidates."""
    records = [tokenizer(reference_arm="elastic"), tokenizer("other", reference_arm="elastic")]
    for seed in (0, 1):
        for candidates in ([2, 4, 8, 16], [2, 16]):
            swept = {"policy.candidates": candidates}
            record = policy(seed=seed, swept=swept, reference_arm="elastic")
            shares = {f"share/tokens_{k}": 1 / len(candidates) for k in candidates}
            records.append(vary(record, metrics=shares))
    return records


DRAWN = {
    "ablation_bars",
    "allocation_skill",
    "budget_histogram",
    "candidate_heatmap",
    "pareto",
    "prefix_curves",
    "training_curves",
}


@pytest.mark.parametrize("name", sorted(DRAWN))
@pytest.mark.parametrize("how", ["one seed", "collapsed", "a metric less", "no skill"])
def test_a_poor_suite_is_drawn(make, name, how, suite, vary):
    """A single seed, a collapsed policy, a metric that a record lacks, a skill that is none."""
    if how == "one seed":
        suite = [record for record in suite if record.swept.get("policy.seed", 0) == 0]
    if how == "collapsed":
        shares = {"share/tokens_2": 0.0, "share/tokens_4": 1.0}
        gone = {"collapsed": True, "allocation_skill": None, **shares}
        suite[2] = vary(suite[2], metrics=gone)
    if how == "a metric less":
        suite = [vary(record, without=["fd_lite0"]) for record in suite]
        suite[2] = vary(suite[2], without=["allocation_skill_perceptual"])
    if how == "no skill":
        suite[2] = vary(suite[2], metrics={"allocation_skill": None})
    made = make(name, suite)
    assert {path.suffix for path in made.files} >= {".png", ".pdf", ".csv"}
    assert all(path.stat().st_size > 0 for path in made.files)
    assert made.title
    assert made.alt.endswith(".")
