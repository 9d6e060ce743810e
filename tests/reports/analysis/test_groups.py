import pytest

from bench.errors import UserError
from bench.statistics.intervals import student_interval
from reports.analysis.groups import (
    Group,
    done_records,
    group_by_seed,
    has_collapsed,
    is_allocation,
    is_elastic,
    is_fixed_length,
    is_policy,
    repetition_seed,
    tokenizer_identity,
)
from reports.analysis.names import tokenizer_family


def labels(records, kind):
    return [record.label for record in records if kind(record)]


def test_records_are_sorted_into_what_they_are(done):
    assert labels(done, is_elastic) == ["elastic"]
    assert labels(done, is_policy) == ["policy: seed 0", "policy: seed 1"]
    assert labels(done, is_fixed_length) == ["fixed_at_mean"]


def test_only_finished_records_have_results(records, done):
    assert len(records) == 6
    assert done_records(records) == done
    assert done_records([r for r in records if r.status == "failed"]) == []


def test_two_protocols_are_refused_by_the_fields_name(records, vary):
    records[0] = vary(records[0], protocol={**records[0].protocol.plain(), "images_count": 25})
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
    with pytest.raises(UserError, match="unknown metric 'no such metric'"):
        group.interval("no such metric")
    group = Group("g", (first, vary(second, metrics={"allocation_skill": None})))
    assert group.interval("allocation_skill") is None


def test_one_collapsed_seed_makes_a_collapsed_group(done, vary):
    fine = [vary(record, metrics={"collapsed": False}) for record in done[1:3]]
    assert not group_by_seed(fine)[0].collapsed
    fine[1] = vary(fine[1], metrics={"collapsed": True})
    assert group_by_seed(fine)[0].collapsed


def test_a_policy_knows_its_tokenizer(done, vary):
    elastic, policy, _, fixed = done
    assert tokenizer_identity(elastic) == tokenizer_identity(policy) != tokenizer_identity(fixed)
    for path in ("data.seed", "tokenizer.lora.rank", "training.seed"):
        other = vary(elastic, settings={path: 7})
        assert tokenizer_identity(other) != tokenizer_identity(policy)


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
    by_policy = crossed.by_seed(lambda r: r.metrics.value("allocation_skill"), path="policy.seed")
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
    tuned = vary(tokenizer(), settings={"finetuning": {"trainable": "decoder"}})
    assert tokenizer_identity(tuned) != tokenizer_identity(tokenizer())


@pytest.mark.parametrize("own", [True, False])
def test_co_design_makes_another_tokenizer_for_each_policy_that_chose_lengths(
    vary, policy, tokenizer, own
):
    """Where the lengths are those of the cell's own policy, this is part of the tokenizer."""
    chosen = {"distribution": "policy", "share": 0.5}
    settings = {
        "codesign": {
            **{"rounds": 1, "start": "warm", "training": {"lengths": chosen}},
            "policy": None if own else {"candidates": [2, 4]},
        }
    }
    first, plain = vary(policy(), settings=settings), policy()
    other = vary(first, settings={"policy.steps": 7}, swept={"policy.steps": 7})
    assert tokenizer_identity(first) != tokenizer_identity(plain)
    assert (tokenizer_identity(first) == tokenizer_identity(other)) is not own
    assert (tokenizer_family(first) == tokenizer_family(other)) is not own
    # A curve has no policy of its own, so it names the one that chose.
    named = first.setting("policy" if own else "codesign.policy")
    curve = vary(tokenizer(), settings={**settings, "codesign.policy": named})
    assert tokenizer_identity(first) == tokenizer_identity(curve)


def test_an_allocator_is_an_allocation_and_no_policy_and_no_curve(allocator, policy, tokenizer):
    record = allocator()
    assert is_allocation(record)
    assert not is_policy(record)
    assert not is_elastic(record)
    assert not is_fixed_length(record)
    assert is_allocation(policy())
    assert not is_allocation(tokenizer())
    assert tokenizer_identity(record) == tokenizer_identity(tokenizer())


def test_other_kinds_of_records_are_left_out(records, done, generated, timed):
    assert done_records([*records, generated(), timed(rows=[])]) == done
