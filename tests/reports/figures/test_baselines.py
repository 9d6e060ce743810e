import pandas as pd
import pytest

from reports.analysis.entries import asked_tokens, entries
from reports.analysis.rankings import agreements
from reports.analysis.systems import tied_with_best
from reports.figures.baselines import baselines_data, contenders, report, table_rows

SEEDS = (0, 1, 2)
NOISE = {0: 0.0, 1: 0.0002, 2: -0.0001}  # of a training seed, shared by all on its tokenizer
MORE = {"perceptual": 1.0, "bits": 72.0, "encoder_passes": 1.0, "decoder_passes": 0.0}


@pytest.fixture
def allocation(tokenizer, vary):
    """`allocation(tokenizer's arm, kind, mse, seed)`: the cell of an allocator at 6 tokens."""

    def allocation(arm, kind, mse, seed, *, tokens=6.0, rank=0, **settings):
        one = tokenizer(arm, seed=seed)
        words = {"kind": kind, "mean_budget": 6, **settings}
        value = mse + NOISE[seed]
        metrics = {**MORE, "mse": value, "mean_tokens": tokens, "allocation_skill": 0.5,
                   "fd_lite0": 1e5 * value}  # fmt: skip
        return vary(
            one,
            arm=f"{arm}, allocators",
            group=f"{arm}, allocators: {kind}",
            label=f"{arm}, allocators: {kind}, seed {seed}",
            cell_key=f"{arm} {kind} {seed}",
            metrics=metrics,
            settings={"allocator": words, "tokenizer.lora": {"rank": rank}},
            controls={"agnostic": {"mean_tokens": tokens, "mse": 0.0130 + NOISE[seed]}},
            curve=[],
        )

    return allocation


@pytest.fixture
def crossed(tokenizer, allocation, vary):
    """Two elastic tokenizers with three allocators, and one of one length; three seeds."""
    records = []
    for arm, rank, worse in (("plain", 0, 0.0), ("heads", 8, 0.002)):
        for seed in SEEDS:
            settings = {"tokenizer.lora": {"rank": rank}}
            records.append(vary(tokenizer(arm, seed=seed), settings=settings, metrics=MORE))
            for kind, mse in (("oracle", 0.010), ("png_size", 0.011), ("edge_density", 0.012)):
                records.append(allocation(arm, kind, mse + worse, seed, rank=rank))
    for seed in SEEDS:
        length = tokenizer("one length", seed=seed, psnr=(19.0,), budgets=(6,))
        settings = {"tokenizer.budgets": [6]}
        records.append(vary(length, settings=settings, metrics={**MORE, "mse": 0.0150}))
    return records


def test_a_row_per_tokenizer_and_allocator(crossed):
    rows = table_rows(entries(crossed), asked_tokens(crossed))
    assert [(row["tokenizer"], row["allocator"]) for row in rows] == [
        *(("plain", kind) for kind in ("all tokens", "oracle", "PNG size", "edge density")),
        *(("heads", kind) for kind in ("all tokens", "oracle", "PNG size", "edge density")),
        ("one length", "its one length"),
    ]
    assert {row["seeds"] for row in rows} == {"3/3"}
    assert rows[2]["distortion (MSE)"].startswith("0.01103 ± 0.000")
    assert (rows[2]["bits"], rows[2]["encoder passes"]) == ("72.0 ± 0.0", 1.0)
    assert rows[2]["skill"] == "0.50 ± 0.00"


def test_the_best_is_marked_near_the_asked_tokens_and_without_the_oracle(crossed):
    rows = {(r["tokenizer"], r["allocator"]): r["distortion (MSE)"]
            for r in table_rows(entries(crossed), 6)}  # fmt: skip
    marks = {key: value.split(" ")[3:] for key, value in rows.items()}
    assert marks.pop(("plain", "PNG size")) == ["*+"]
    assert marks.pop(("heads", "PNG size")) == ["*"]
    assert set(map(tuple, marks.values())) == {()}


def test_what_is_not_significantly_above_the_best_ties_with_it(crossed, allocation):
    close = {0: 0.0118, 1: 0.0104, 2: 0.0112}  # on average above 0.011, not in every seed
    more = [allocation("plain", "codebook_entropy", mse, s) for s, mse in close.items()]
    found = entries([*crossed, *more])
    plain = [e.system for e in contenders(found, 6) if e.tokenizer == "plain"]
    tied = tied_with_best(plain, "mse")
    assert [system.label for system in tied] == ["plain: PNG size", "plain: codebook entropy"]


def test_ties_are_corrected_for_how_many_are_compared(allocation, vary):
    # Each alone would differ significantly from the best, but not one of a family of twelve.
    values = {0: 0.01140, 1: 0.01152, 2: 0.01163}
    best = [allocation("plain", "png_size", 0.0110, seed) for seed in SEEDS]
    one = [allocation("plain", "edge_density", v, s) for s, v in values.items()]
    others = [
        vary(allocation("plain", "edge_density", v + i * 1e-5, s), group=f"other {i}")
        for i in range(11)
        for s, v in values.items()
    ]

    def tied(records):
        return tied_with_best([entry.system for entry in entries(records)], "mse")

    assert len(tied([*best, *one])) == 1
    assert len(tied([*best, *one, *others])) > 1


def test_other_token_counts_compete_elsewhere(crossed, allocation):
    far = [allocation("plain", "codebook_entropy", 0.001, seed, tokens=7.0) for seed in SEEDS]
    found = entries([*crossed, *far])
    assert "codebook entropy" not in [entry.allocator for entry in contenders(found, 6)]
    assert contenders(found, None) == []


def test_one_seed_marks_nothing(crossed):
    records = [r for r in crossed if r.config.training.seed == 0]
    rows = table_rows(entries(records), 6)
    assert not any("*" in str(value) or "+" in str(value) for r in rows for value in r.values())


def test_failed_cells_are_shown_as_failed(crossed, failed, tmp_path):
    records = [
        failed(r) if r.arm == "heads, allocators" and "png" in r.cell_key else r for r in crossed
    ]
    gone = [i for i, r in enumerate(records) if r.cell_key == "plain edge_density 1"]
    records[gone[0]] = failed(records[gone[0]])
    rows = {(r["tokenizer"], r["allocator"]): r for r in table_rows(entries(records), 6)}
    assert rows["heads", "PNG size"]["tokens"] == "failed"
    assert rows["heads", "PNG size"]["seeds"] == "0/3"
    assert rows["plain", "edge density"]["seeds"] == "2/3"
    text = report(records, tmp_path).text
    assert text.count("failed: ") == 4
    nothing = report([failed(r) for r in records[:2]], tmp_path)
    assert nothing.files == []
    assert nothing.text.startswith("Baselines: nothing has a result yet")


def test_metrics_that_rank_alike(crossed, tmp_path):
    near = contenders(entries(crossed), 6)
    (one,) = agreements([entry.system for entry in near], ["mse", "fd_lite0"])
    assert one.systems == 5
    text = report(crossed, tmp_path).text
    assert "Kendall's tau-b of the systems near 6 mean tokens" in text
    words = [line.split() for line in text.splitlines()]
    (line,) = [w for w in words if w[:4] == ["distortion", "(MSE)", "FD", "(Lite0)"]]
    assert line[4:7] == ["5", "3", f"{one.tau.mean:.2f}"]


def test_what_most_allocations_were_asked_for(crossed, policy):
    constraint = {"kind": "constraint", "mean_budget": 9}
    assert asked_tokens([*crossed, policy(weighting=constraint)]) == 6
    assert asked_tokens([policy()]) is None


def test_what_is_drawn(crossed):
    data = baselines_data(entries(crossed), crossed)
    quality, gain = (data[data["panel"] == panel] for panel in ("quality", "gain"))
    assert (quality["kind"] == "curve").sum() == 8
    assert list(quality.loc[quality["kind"] == "length", "x"]) == [6.0]
    assert (quality["kind"] == "allocation").sum() == 6
    assert list(gain["allocator"].unique()) == ["oracle", "PNG size", "edge density"]
    (png,) = gain[
        (gain["tokenizer"] == "plain") & (gain["allocator"] == "PNG size") & (gain["n"] == 3)
    ].itertuples()
    assert png.x == pytest.approx(100 * (0.011 - 0.013) / (0.013 + 0.0001 / 3))
    assert png.low <= png.x <= png.high
    assert (gain["kind"] == "seed").sum() == 18


def test_files_are_written(crossed, tmp_path):
    made = report(crossed, tmp_path)
    names = [*(f"baselines.{kind}" for kind in ("png", "pdf", "csv")), "baselines_table.csv"]
    assert [path.name for path in made.files] == [*names, "baselines.txt"]
    assert (tmp_path / "baselines.txt").read_text() == made.text
    table = pd.read_csv(tmp_path / "baselines_table.csv")
    assert len(table[(table["metric"] == "mse") & (table["tokenizer"] == "plain")]) == 12
