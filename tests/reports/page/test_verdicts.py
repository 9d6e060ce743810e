from reports.page.verdicts import verdict_lines


def test_the_settling_verdict_comes_first(tokenizer, one_length, policy):
    made = []
    for seed in range(3):
        made += [
            tokenizer(seed=seed),
            policy(training_seed=seed, tokens=6.0, mse=0.02 + seed / 1e4),
        ]
        source = {"mean_budget_of": "policy"}
        made.append(one_length(psnr=20.0 + seed / 100, seed=seed, length_from=source))
    lines = verdict_lines(made)
    assert lines[0].startswith("Verdict (distortion, declared primary): fixed better.")


def test_else_the_summary_speaks(policy, tokenizer):
    lines = verdict_lines([tokenizer(), *(policy(seed=s, skill=0.5 + s / 100) for s in range(3))])
    assert lines[0].startswith(
        "At equal mean tokens on the same tokenizer, choosing by image beats"
    )
    (alone,) = verdict_lines([tokenizer(), policy()])
    assert alone.startswith("One seed, so no interval and no verdict")


def test_else_the_ablations_are_counted(two_arms):
    first, *shown = verdict_lines(two_arms)
    assert first.startswith("Against arm 'none': better in 4 of 4 comparisons, worse in 0,")
    assert any(line.startswith("heads is better in PSNR: +1.") for line in shown)


def test_one_seed_of_an_ablation_is_no_verdict(two_arms):
    lines = verdict_lines([two_arms[0], two_arms[3]])
    assert lines == ["One training seed each, so no interval and no verdict against arm 'none'."]


def test_without_results_or_comparisons_that_is_said(tokenizer, failed):
    lost = [failed(tokenizer(seed=seed)) for seed in (0, 1)]
    assert verdict_lines(lost) == ["No cell of this suite has a result: 2 failed."]
    assert verdict_lines([tokenizer()])[0].startswith("No verdict:")


def test_a_collapsed_policy_counts_as_skill_nothing(tokenizer, policy):
    records = [tokenizer(), *(policy(seed=s, collapsed=True, skill=None) for s in range(3))]
    assert verdict_lines(records)


def test_the_price_of_being_elastic_is_told_whichever_way_it_goes(priced, fixed_lengths):
    fixed = fixed_lengths(lengths=[2, 6])
    first, *_, price = verdict_lines([*priced(), *fixed])
    assert first.startswith("At equal mean tokens on the same tokenizer, choosing by image")
    assert "+16.0 % [+13.2, +18.9] distortion" in price
    assert "together +4.4 % [+1.8, +7.0]: fixed better" in price
    *_, gain = verdict_lines([*priced(price=0.02), *fixed])
    assert "+2.0 % [-0.5, +4.6] distortion" in gain
    assert "together -8.2 % [-10.5, -5.9]: adaptive better" in gain
    (alone,) = verdict_lines([*priced(gain=None), *fixed])
    assert alone.startswith("Price of being elastic (elastic, equal steps and decoder passes")
