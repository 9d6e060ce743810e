import math

from reports.analysis.contenders import contenders, near_tokens, nearest


def named(found):
    return {(one.tokenizer, one.allocation): one for one in found}


def test_one_per_fixed_budget_length_and_allocation(tokenizer, one_length, policy, allocator):
    found = contenders([tokenizer(), one_length(), policy(), allocator()])
    assert list(named(found)) == [
        *(("elastic", f"fixed budget {budget}") for budget in (2, 4, 8, 16)),
        ("elastic", "policy"),
        ("elastic", "PNG size"),
        ("fixed", "its one length"),
    ]


def test_training_seeds_are_repetitions_and_policies_on_one_tokenizer_are_averaged(policy):
    records = [
        policy(seed=seed, training_seed=training, mse=0.01 + 0.002 * seed + 0.1 * training)
        for seed in (0, 1)
        for training in (0, 1, 2)
    ]
    (one,) = contenders(records)
    assert (one.seeds, one.planned) == ("3 training seeds", 3)
    values = one.system.values("mse")
    assert list(values) == [("training.seed", training) for training in (0, 1, 2)]
    assert math.isclose(values["training.seed", 1], 0.111)
    assert len(one.cells) == 6


def test_policy_seeds_never_meet_training_seeds(tokenizer, policy):
    found = named(contenders([tokenizer(), *(policy(seed=seed) for seed in (0, 1))]))
    of_policy = found["elastic", "policy"].system.values("mse")
    of_budget = found["elastic", "fixed budget 4"].system.values("mse")
    assert found["elastic", "policy"].seeds == "2 policy seeds"
    assert not of_policy.keys() & of_budget.keys()


def test_allocations_of_the_same_words_are_told_apart(policy):
    swept = [{"policy.hidden": hidden} for hidden in (8, 16)]
    found = contenders([policy(swept=one) for one in swept])
    assert [one.allocation for one in found] == ["policy, hidden 8", "policy, hidden 16"]


def test_seeds_without_a_result_are_counted_and_said(tokenizer, failed):
    records = [tokenizer(seed=0), failed(tokenizer(seed=1))]
    one = contenders(records)[0]
    assert (one.seeds, one.status) == ("1 of 2 training seeds", "done")
    assert one.error == "tokenizer: DivergedError: loss is not finite"
    (lost,) = contenders([failed(tokenizer(seed=0))])
    assert (lost.seeds, lost.status, lost.tokens) == ("0 of 1 training seed", "failed", None)


def test_collapsed_policies_and_untrained_lengths_are_remarked(tokenizer, policy):
    found = contenders([policy(collapsed=True), policy(seed=1)])
    assert found[0].remark == "1 of 2 collapsed to one budget"
    assert found[0].system.values("allocation_skill")["policy.seed", 0] == 0.0
    remarks = [one.remark for one in contenders([tokenizer(untrained=(8,))])]
    assert remarks == ["", "", "length never trained", ""]


def test_compared_at_the_nearest_number_of_tokens_within_a_tenth(tokenizer, allocator):
    records = [tokenizer(), allocator(tokens=6.5), allocator("far", tokens=5.3)]
    numbers = near_tokens(contenders(records), records)
    assert numbers == [2, 4, 6.0, 8, 16]
    near = {one.allocation: nearest(one, numbers) for one in contenders(records)}
    assert near["fixed budget 8"] == 8
    tokens = {one.tokens: nearest(one, numbers) for one in contenders(records)}
    assert (tokens[6.5], tokens[5.3]) == (6.0, None)
