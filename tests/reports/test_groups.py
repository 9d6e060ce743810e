import pytest

from bench.errors import UserError
from bench.statistics import student_interval
from reports.groups import (
    done_records,
    group_by_seed,
    is_elastic,
    is_fixed_length,
    is_policy,
    policy_label,
    tokenizer_identity,
    tokenizer_label,
)


def labels(records, kind):
    return [record["label"] for record in records if kind(record)]


def test_records_are_sorted_into_what_they_are(done):
    assert labels(done, is_elastic) == ["elastic"]
    assert labels(done, is_policy) == ["policy: seed 0", "policy: seed 1"]
    assert labels(done, is_fixed_length) == ["fixed_at_mean"]


def test_only_finished_records_have_results(records, done):
    assert len(records) == 6
    assert done_records(records) == done
    assert done_records([r for r in records if r["status"] == "failed"]) == []


def test_two_protocols_are_refused_by_the_fields_name(records):
    records[0]["protocol"]["images_count"] = 25
    with pytest.raises(UserError, match=r"protocol field 'images_count' differs \(25 and 24\)"):
        done_records(records)


def test_cells_that_differ_in_seeds_only_are_one_group(done):
    groups = group_by_seed(done)
    assert [(g.label, len(g.records)) for g in groups] == [
        ("elastic", 1),
        ("policy", 2),
        ("fixed_at_mean", 1),
    ]


def test_the_interval_is_over_the_groups_seeds(done, vary):
    first, second = (vary(done[i], metrics={"mse": mse}) for i, mse in ((1, 0.25), (2, 0.75)))
    (group,) = group_by_seed([first, second])
    assert group.interval("mse") == student_interval([0.25, 0.75])
    assert group.interval("no such metric") is None
    second["metrics"]["allocation_skill"] = None
    assert group.interval("allocation_skill") is None


def test_one_collapsed_seed_makes_a_collapsed_group(done, vary):
    fine = [vary(record, metrics={"collapsed": False}) for record in done[1:3]]
    assert not group_by_seed(fine)[0].collapsed
    fine[1]["metrics"]["collapsed"] = True
    assert group_by_seed(fine)[0].collapsed


def test_a_policy_knows_its_tokenizer(done, vary):
    elastic, policy, _, fixed = done
    assert tokenizer_identity(elastic) == tokenizer_identity(policy) != tokenizer_identity(fixed)
    for path in ("data.seed", "tokenizer.lora.rank", "training.steps"):
        other = vary(elastic, settings={path: 77})
        assert tokenizer_identity(other) != tokenizer_identity(policy)


SWEPT = {
    "tokenizer.lora.rank": 8,
    "training.seed": 1,
    "policy.weighting": {"kind": "fixed", "efficiency": 0.5},
    "policy.seed": 2,
}


def test_labels_name_the_arm_and_what_was_swept_of_their_part(done, vary):
    record = vary(done[1], swept=SWEPT)
    assert tokenizer_label(record) == "policy, lora.rank 8, seed 1"
    assert policy_label(record) == "policy, fixed efficiency 0.5"
    plain = vary(done[1], swept={"policy.seed": 2})
    assert (tokenizer_label(plain), policy_label(plain)) == ("policy", "policy")
