"""Every figure on suites that went wrong: the right words, no crash and no blank figure."""

import functools

import pytest

from reports.figures import (
    ablation_bars,
    allocation_skill,
    budget_complexity,
    budget_histogram,
    candidate_heatmap,
    extremes,
    gallery,
    generation,
    pareto,
    prefix_curves,
    settle,
    throughput,
    training_curves,
)

pytestmark = pytest.mark.usefixtures("unrendered")
PLAIN = {
    "ablation_bars": ablation_bars.report,
    "allocation_skill": allocation_skill.report,
    "budget_histogram": budget_histogram.report,
    "candidate_heatmap": candidate_heatmap.report,
    "generation": generation.report,
    "pareto": pareto.report,
    "prefix_curves": prefix_curves.report,
    "settle": settle.report,
    "throughput": throughput.report,
    "training_curves": training_curves.report,
}
OF_STORE = {
    "budget_complexity": budget_complexity.report,
    "extremes": extremes.report,
    "gallery": gallery.report,
}
NAMES = [*PLAIN, *OF_STORE]
OWN_WORDS = ("allocation_skill", "prefix_curves", "settle")


@pytest.fixture
def make(tmp_path):
    """`make(name, records)`: the report, with an empty store."""

    def make(name, records):
        function = PLAIN.get(name) or functools.partial(OF_STORE[name], store=tmp_path / "store")
        return function(records, tmp_path / "out")

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


@pytest.fixture
def suite(tokenizer, policy):
    """Two arms of each, with shares; two sets of candidates."""
    records = [tokenizer(reference_arm="elastic"), tokenizer("other", reference_arm="elastic")]
    for seed in (0, 1):
        for candidates in ([2, 4, 8, 16], [2, 16]):
            swept = {"policy.candidates": candidates}
            record = policy(seed=seed, swept=swept, reference_arm="elastic")
            record["metrics"] |= {f"share/tokens_{k}": 1 / len(candidates) for k in candidates}
            records.append(record)
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
def test_a_poor_suite_is_drawn(make, name, how, suite):
    """A single seed, a collapsed policy, a metric that a record lacks, a skill that is none."""
    if how == "one seed":
        suite = [record for record in suite if record["swept"].get("policy.seed", 0) == 0]
    policy = suite[2]
    if how == "collapsed":
        shares = {"share/tokens_2": 0.0, "share/tokens_4": 1.0}
        policy["metrics"] |= {"collapsed": True, "allocation_skill": None, **shares}
    if how == "a metric less":
        for record in suite:
            record["metrics"].pop("fd_lite0", None)
            for row in record["curve"]:
                del row["fd_lite0"]
        del policy["metrics"]["allocation_skill_perceptual"]
    if how == "no skill":
        policy["metrics"]["allocation_skill"] = None
    made = make(name, suite)
    assert {path.suffix for path in made.files} >= {".png", ".pdf", ".csv"}
    assert all(path.stat().st_size > 0 for path in made.files)
    assert made.title
    assert made.alt.endswith(".")
