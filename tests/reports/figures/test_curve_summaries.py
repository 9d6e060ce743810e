import pandas as pd
import pytest

from bench.compare.curve_summaries import (
    Curve,
    HypervolumeReference,
    area_under,
    bd_rate,
    curve_hypervolume,
)
from bench.statistics.intervals import paired_difference, student_interval
from bench.statistics.power import minimum_detectable_effect
from reports.analysis.curve_rows import summary_rows
from reports.analysis.groups import group_by_seed
from reports.figures.curve_summaries import COLUMNS, SAME_PRICE, report, summary_data

TOKENS = (2.0, 4.0, 8.0, 16.0)
PSNR = (18.0, 19.0, 20.0, 21.0)
GAINS = {"base": (0.0, 0.1, 0.3), "better": (0.5, 0.65, 0.75)}


def curve_of(name, seed):
    return Curve(TOKENS, tuple(value + GAINS[name][seed] for value in PSNR))


@pytest.fixture
def arm(tokenizer):
    """`arm(name)`: its three seeds, on top of the base curve."""

    def arm(name, gains=None, **options):
        gains = gains or GAINS[name]
        psnr = options.pop("psnr", PSNR)
        return [
            tokenizer(name, psnr=[v + gain for v in psnr], seed=seed, reference_arm="base",
                      **options)
            for seed, gain in enumerate(gains)
        ]  # fmt: skip

    return arm


def row_of(rows, group, metric, summary, rate="tokens"):
    (row,) = (
        r for r in rows if (r.group, r.metric, r.summary, r.rate) == (group, metric, summary, rate)
    )
    return row


def rows_of(records):
    return summary_rows(group_by_seed(records), "base")


def test_bd_is_taken_seed_by_seed_and_then_averaged(arm):
    row = row_of(rows_of(arm("base") + arm("better")), "better", "psnr", "BD")
    expected = {s: bd_rate(curve_of("better", s), curve_of("base", s)).percent for s in range(3)}
    assert row.values == pytest.approx(expected)
    assert row.difference == paired_difference(row.values, dict.fromkeys(row.values, 0.0))
    assert row.difference.mean < 0
    assert (row.points, row.against) == (4, "base")
    assert row.overlap == pytest.approx(2.45 / 3.55)  # The worst seed's.


def test_area_and_hypervolume_are_paired_with_the_reference(arm):
    rows = rows_of(arm("base") + arm("better"))
    corner = HypervolumeReference(32.0, 18 + sum(GAINS["base"]) / 3)
    for summary, value in (
        ("AUC", area_under),
        ("hypervolume", lambda curve: curve_hypervolume(curve, corner)),
    ):
        row = row_of(rows, "better", "psnr", summary)
        ours, theirs = (
            {seed: value(curve_of(name, seed)) for seed in range(3)} for name in ("better", "base")
        )
        assert row.values == pytest.approx(ours)
        expected = paired_difference(ours, theirs)
        assert (row.difference.mean, row.difference.p) == pytest.approx((expected.mean, expected.p))
        own = row_of(rows, "base", "psnr", summary)
        assert own.values == pytest.approx(theirs)
        assert (own.difference, own.against) == (None, None)
    reference = row_of(rows, "better", "psnr", "hypervolume").reference
    assert (reference.rate, reference.quality) == pytest.approx((32.0, corner.quality))
    assert not [r for r in rows if r.group == "base" and r.summary == "BD"]


def test_distances_are_summarised_by_minus_their_logarithm(arm):
    rows = rows_of(arm("base") + arm("better"))
    assert {row.metric for row in rows} == {"psnr", "perceptual", "fd_lite0"}
    assert row_of(rows, "better", "perceptual", "BD").difference.mean < 0
    assert row_of(rows, "better", "perceptual", "AUC").difference.mean > 0


def test_a_distance_of_a_stronger_network_takes_the_place_of_fd(arm, vary_curve):
    records = [
        vary_curve(record, lambda row: {"rfid": row.value("fd_lite0") / 100})
        for record in arm("base") + arm("better")
    ]
    assert {row.metric for row in rows_of(records)} == {"psnr", "perceptual", "rfid"}


def test_only_trained_lengths_count(arm):
    rows = rows_of(arm("base") + arm("better", untrained=(4,)))
    bd, area, volume = (row_of(rows, "better", "psnr", s) for s in ("BD", "AUC", "hypervolume"))
    assert bd.remark == "seed 0: 3 points, and a BD-rate needs 4"
    assert area.remark == "other rates: 2-4-8-16 and 2-8-16"
    assert (bd.values, area.values, bd.difference) == ({}, {}, None)
    assert (volume.points, volume.remark) == (3, None)


def test_bits_are_a_rate_of_their_own(arm, vary, vary_curve):
    cheaper = [
        vary(vary_curve(one, lambda row: {"bits": 9.0 * row.budget}), metrics={"bits_per_token": 9})
        for one in arm("better", gains=GAINS["base"])
    ]
    rows = rows_of(arm("base") + cheaper)
    assert row_of(rows, "better", "psnr", "BD").difference.mean == pytest.approx(0, abs=1e-6)
    bits = row_of(rows, "better", "psnr", "BD", "bits")
    assert bits.difference.mean == pytest.approx(-25, abs=1e-6)
    assert row_of(rows, "better", "psnr", "AUC", "bits").remark.startswith("other rates: 24-48")


def test_seeds_that_never_meet_and_groups_without_a_counterpart_are_said(arm, tokenizer):
    alone = tokenizer("alone", seed=9, reference_arm="base")
    rows = rows_of([*arm("base"), alone])
    assert row_of(rows, "alone", "psnr", "AUC").remark == (
        "no training.seed in common with the reference"
    )
    swept = [r for k in (4, 8) for r in arm("base", swept={"tokenizer.lora.rank": k})]
    rows = rows_of([*swept, alone])
    assert row_of(rows, "alone", "psnr", "BD").remark == "no counterpart in arm 'base'"


def test_the_csv_holds_seeds_means_and_differences(arm, tmp_path):
    records = arm("base") + arm("better")
    made = report(records, tmp_path)
    assert made.files == [tmp_path / "curve_summaries.csv"]
    data = pd.read_csv(made.files[0])
    assert list(data.columns) == COLUMNS
    row = row_of(rows_of(records), "better", "psnr", "AUC")
    shown = data[
        (data["group"] == "better") & (data["metric"] == "psnr")
        & (data["summary"] == "AUC") & (data["rate"] == "tokens")
    ].set_index("kind")  # fmt: skip
    assert shown.loc["seed", "value"].tolist() == pytest.approx(list(row.values.values()))
    mean, difference = shown.loc["mean"], shown.loc["difference"]
    over = student_interval(list(row.values.values()))
    assert (mean["value"], mean["low"], mean["n"]) == pytest.approx((over.mean, over.low, 3))
    assert difference["value"] == pytest.approx(row.difference.mean)
    assert difference["detectable"] == pytest.approx(
        minimum_detectable_effect(row.difference.sd, 3)
    )
    assert set(shown.loc[["mean", "difference"], "over"]) == {"seeds"}
    volumes = data[data["summary"] == "hypervolume"]
    assert volumes["reference_rate"].notna().all()
    assert volumes["reference_quality"].notna().all()


def test_the_text_shows_bits_only_where_they_say_something_else(arm, vary, tmp_path):
    records = arm("base") + arm("better")
    text = report(records, tmp_path).text
    assert "95 % Student t over seeds" in text
    assert "PSNR (dB), higher is better" in text
    assert "BD-tokens" in text
    assert "BD-bits" not in text
    assert SAME_PRICE in text
    line = next(line for line in text.splitlines() if "BD-tokens" in line)
    mean = row_of(rows_of(records), "better", "psnr", "BD").difference.mean
    assert f"{mean:.4g} % [" in line
    assert "69%" in line
    records[0] = vary(records[0], metrics={"bits_per_token": 9.0})
    text = report(records, tmp_path).text
    assert "BD-bits" in text
    assert SAME_PRICE not in text


def test_one_seed_has_a_value_and_no_interval(arm, tmp_path):
    text = report(arm("base")[:1] + arm("better")[:1], tmp_path).text
    assert "% (one seed)" in text
    assert "nan" not in text


def test_what_there_is_nothing_to_show_of_is_said(arm, tokenizer, policy, failed, tmp_path):
    assert "names no reference_arm" in report([tokenizer()], tmp_path).text
    lost = failed(tokenizer("base", reference_arm="base"))
    text = report([lost, policy(reference_arm="base")], tmp_path).text
    assert "arm 'base' has no elastic result yet" in text
    assert "failed: base" in text
    assert not list(tmp_path.iterdir())


def test_every_row_reaches_the_csv(arm):
    rows = rows_of(arm("base") + arm("better", untrained=(4,)))
    data = summary_data(rows)
    remarks = data.loc[data["remark"].notna(), "remark"].unique()
    assert "other rates: 2-4-8-16 and 2-8-16" in remarks
    assert len(data.groupby(["group", "metric", "summary", "rate"])) == len(rows)
