import math

import pytest

from bench.statistics.intervals import holm, paired_difference
from reports.analysis.comparisons import compare, comparison_rows, count_verdicts, reference_arm
from reports.analysis.groups import group_by_seed


def against(records):
    return compare(group_by_seed(records), "base", "allocation_skill")


def arm(policy, name, skills, **settings):
    return [policy(name, skill=value, seed=seed, **settings) for seed, value in skills.items()]


BASE = {0: 0.50, 1: 0.52, 2: 0.49}


def test_groups_are_paired_by_seed_and_corrected_together(policy):
    better, close = {2: 0.61, 1: 0.63, 0: 0.60}, {0: 0.52, 1: 0.51, 2: 0.50}
    records = [p for n, s in (("base", BASE), ("better", better), ("close", close))
               for p in arm(policy, n, s)]  # fmt: skip
    first, second = against(records)
    assert first.difference.interval == paired_difference(better, BASE)
    raw = [one.difference.interval.p for one in (first, second)]
    assert [one.difference.p for one in (first, second)] == holm(raw)
    assert first.difference.p == pytest.approx(2 * raw[0])
    assert [one.difference.verdict for one in (first, second)] == ["better", "no difference shown"]


def test_the_correction_can_take_a_verdict_away(policy):
    records = arm(policy, "base", BASE) + arm(policy, "a", {0: 0.55, 1: 0.56, 2: 0.56})
    (alone,) = against(records)
    assert alone.difference.verdict == "better"
    many = [p for i in range(8) for p in arm(policy, f"n{i}", {0: 0.5, 1: 0.5, 2: 0.5})]
    among = against(records + many)
    assert among[0].difference.interval == alone.difference.interval
    assert among[0].difference.verdict == "no difference shown"


def test_a_clear_loss_is_worse(policy):
    records = arm(policy, "base", BASE) + arm(policy, "a", {0: 0.2, 1: 0.22, 2: 0.18})
    assert against(records)[0].difference.verdict == "worse"


def test_one_seed_gives_no_interval(policy):
    (one,) = against([*arm(policy, "base", BASE), policy("a", skill=0.9, seed=1)])
    assert (one.difference.interval.n, one.difference.verdict) == (
        1,
        "one training each: no interval",
    )
    assert math.isnan(one.difference.p)
    (row,) = comparison_rows([one])
    assert (row["difference"], row["p (Holm)"]) == ("0.38 (one seed)", "-")


def test_the_counterpart_has_the_same_other_swept_values(policy):
    low, high = ({"kind": "fixed", "efficiency": value} for value in (0.3, 0.6))
    records = []
    for weighting, base in ((low, 0.5), (high, 0.7)):
        swept = {"policy.weighting": weighting}
        for name, plus in (("base", 0), ("a", 0.1)):
            for seed in range(2):
                record = policy(name, skill=base + plus, seed=seed, weighting=weighting,
                                swept=swept)  # fmt: skip
                records.append(record)
    records.append(policy("odd", weighting={"kind": "fixed", "efficiency": 0.9}))
    *matched, odd = against(records)
    assert [one.difference.interval.mean for one in matched] == pytest.approx([0.1, 0.1])
    assert [str(w) in one.against for one, w in zip(matched, (low, high), strict=True)] == [
        True,
        True,
    ]
    assert (odd.difference.interval, odd.difference.verdict) == (None, "no counterpart")


def test_policies_on_several_tokenizers_are_paired_by_training_seed(policy):
    cells = [(t, p) for t in range(2) for p in range(2)]
    records = [policy("base", skill=0.1 * t + 0.01 * p, training_seed=t, seed=p) for t, p in cells]
    records += [policy("a", skill=0.3 + 0.3 * t, training_seed=t, seed=p) for t, p in cells]
    (one,) = against(records)
    assert one.difference.interval == paired_difference({0: 0.3, 1: 0.6}, {0: 0.005, 1: 0.105})


def test_seeds_that_never_meet_are_said(policy):
    (one,) = against([policy("base", seed=0), policy("a", seed=1)])
    assert (one.difference.interval, one.difference.verdict) == (
        None,
        "no seed in common with a value",
    )


def test_verdicts_are_counted(policy):
    records = [
        *arm(policy, "base", BASE),
        *arm(policy, "a", {0: 0.9, 1: 0.93, 2: 0.88}),
        policy("b", seed=0),
    ]
    assert count_verdicts(against(records)) == (
        "1 better, 0 worse, 0 no difference shown, 1 one training each: no interval"
    )


def test_the_reference_arm_is_the_suites(policy):
    assert reference_arm([policy(reference_arm="base")]) == "base"
    assert reference_arm([policy()]) is None
