import pytest

from bench.errors import UserError
from bench.statistics.intervals import student_interval
from reports.analysis.groups import (
    Group,
    allocation_label,
    allocator_name,
    done_records,
    group_by_seed,
    has_collapsed,
    is_allocation,
    is_elastic,
    is_fixed_length,
    is_policy,
    repetition_seed,
    tokenizer_identity,
    tokenizer_label,
    weighting_name,
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
    assert allocation_label(record) == "policy, fixed efficiency 0.5"
    plain = vary(done[1], swept={"policy.seed": 2})
    assert (tokenizer_label(plain), allocation_label(plain)) == ("policy", "policy")


@pytest.fixture
def crossed(policy):
    """Two tokenizers, two policies on each."""
    skills = {(0, 0): 0.1, (0, 1): 0.3, (1, 0): 0.5, (1, 1): 0.7}
    return Group("both", tuple(policy(skill=v, training_seed=t, seed=p)
                               for (t, p), v in skills.items()))  # fmt: skip


def test_policies_of_one_tokenizer_are_averaged_before_the_interval(crossed):
    assert repetition_seed(crossed.records) == "training.seed"
    assert crossed.repetitions == 2
    assert crossed.interval("allocation_skill") == student_interval([0.2, 0.6])
    assert Group("one tokenizer", crossed.records[:2]).interval(
        "allocation_skill"
    ) == student_interval([0.1, 0.3])


def test_values_by_seed_may_be_told_apart_by_another_seed(crossed):
    by_policy = crossed.by_seed(lambda r: r["metrics"]["allocation_skill"], path="policy.seed")
    assert by_policy == pytest.approx({0: 0.3, 1: 0.5})


def test_repetitions_default_to_the_records_own_seed(tokenizer, policy):
    assert repetition_seed([tokenizer()]) == "training.seed"
    assert repetition_seed([policy()]) == "policy.seed"


def test_a_value_that_is_not_finite_gives_no_interval(policy):
    group = Group("g", (policy(skill=float("nan")), policy(seed=1)))
    assert group.interval("allocation_skill") is None


def test_no_skill_counts_as_collapsed(policy):
    assert not has_collapsed(policy())
    for record in (policy(collapsed=True), policy(skill=None), policy(skill=float("nan"))):
        assert has_collapsed(record)


def test_fine_tuning_makes_another_tokenizer(vary, tokenizer):
    tuned = vary(tokenizer(), settings={"finetuning": {"trainable": "heads"}})
    assert tokenizer_identity(tuned) != tokenizer_identity(tokenizer())


def test_weightings_are_named_by_aim_and_by_what_is_swept_of_them(policy):
    fixed = {"kind": "fixed", "efficiency": 0.5}
    assert weighting_name(policy(weighting=fixed)) == "fixed 0.5"
    dual = {"kind": "constraint", "mean_budget": 6.0, "quality_drop": None, "step_size": 0.1}
    assert weighting_name(policy(weighting=dual)) == "constraint 6"
    drop = {**dual, "mean_budget": None, "quality_drop": 0.1}
    assert weighting_name(policy(weighting=drop)) == "constraint drop 0.1"
    for swept in ({"policy.weighting.step_size": 0.1}, {"policy.weighting": dual}):
        assert weighting_name(policy(weighting=dual, swept=swept)) == "constraint 6, step_size 0.1"


def test_an_allocator_is_an_allocation_and_no_policy_and_no_curve(allocator, policy, tokenizer):
    record = allocator()
    assert is_allocation(record)
    assert not is_policy(record)
    assert not is_elastic(record)
    assert not is_fixed_length(record)
    assert is_allocation(policy())
    assert not is_allocation(tokenizer())
    assert tokenizer_identity(record) == tokenizer_identity(tokenizer())


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"kind": "png_size", "candidates": None, "mean_budget": 6.0}, "png_size 6"),
        (
            {"kind": "threshold", "candidates": None, "search": "scan", "mean_budget": 6.5,
             "distortion": None},
            "threshold scan 6.5",
        ),
        (
            {"kind": "threshold", "candidates": None, "search": "bisection", "mean_budget": None,
             "distortion": 0.01},
            "threshold bisection distortion 0.01",
        ),
        (
            {"kind": "codebook_entropy", "candidates": [1, 4], "mean_budget": 3.0, "prefix": 2},
            "codebook_entropy 3 candidates 1-4 prefix 2",
        ),
        ({"kind": "own", "candidates": None, "target": 0.05}, "own 0.05"),
    ],
)  # fmt: skip
def test_allocators_are_named_by_kind_and_aim(allocator, settings, name):
    record = allocator(allocator=settings)
    assert allocator_name(record) == name
    assert allocation_label(record) == f"heuristics, {name}"
    assert allocation_label({**record, "arm": settings["kind"]}) == name


def test_other_kinds_of_records_are_left_out(records, done):
    samples = {**done[0], "kind": "generation", "protocol": {"other": "protocol"}}
    speed = {**done[0], "kind": "throughput"}
    del speed["protocol"]
    assert done_records([*records, samples, speed]) == done
