import pytest

from reports.figures.summary import report, summary_rows, verdict


def seeds(vary, record, *skills, **changes):
    """Repetitions of a policy with these skills."""
    return [
        vary(record, metrics={"allocation_skill": s}, settings={"policy.seed": i}, **changes)
        for i, s in enumerate(skills)
    ]


def row_of(rows, system):
    (row,) = (row for row in rows if row["system"] == system)
    return row


def test_a_row_per_fixed_budget_length_and_policy(done, vary, vary_curve):
    rows = summary_rows(done)
    assert [row["system"] for row in rows] == [
        *["elastic: fixed budget"] * 3,
        "fixed_at_mean: trained for one length",
        "policy",
    ]
    elastic, first, second, fixed = done
    assert [row["tokens"] for row in rows[:4]] == [1.0, 2.0, 4.0, 2.0]
    for row, point in zip(rows, [*elastic.curve, fixed.metrics], strict=False):
        for name in ("mse", "psnr", "fd_lite0"):
            assert row[name] == point.value(name)
        assert row["seeds"] is None
    policy = rows[4]
    assert policy["seeds"] == 2
    for name in ("mse", "psnr", "fd_lite0"):
        mean = (first.metrics.value(name) + second.metrics.value(name)) / 2
        assert policy[name] == pytest.approx(mean)
    mean = (first.metrics.value("mean_tokens") + second.metrics.value("mean_tokens")) / 2
    assert policy["tokens"] == pytest.approx(mean, abs=0.005)
    assert policy["collapsed"] == "no"
    assert "rfid" not in policy
    known = [
        vary_curve(vary(record, metrics={"rfid": 7.0}), lambda row: {"rfid": 8.0})
        for record in done
    ]
    assert [row["rfid"] for row in summary_rows(known)] == [8.0, 8.0, 8.0, 7.0, 7.0]


def test_the_policys_controls_stand_beside_it(done, vary):
    def shown(*skills):
        shuffled = [{"shuffled": {"allocation_skill": skill}} for skill in skills]
        policies = [vary(r, controls=c) for r, c in zip(done[1:3], shuffled, strict=True)]
        return summary_rows(policies)[0]["shuffled"]

    assert shown(0.5, -0.25) == "0.12"
    assert shown(None, -0.25) == "-0.25"
    assert shown(None, None) == "-"


def test_the_verdict_counts_wins_losses_and_ties(done, vary):
    policy = done[1]
    records = [
        *seeds(vary, policy, 0.5, 0.52, 0.54, group="wins"),
        *seeds(vary, policy, 0.3, 0.32, 0.34, group="wins too"),
        *seeds(vary, policy, -0.5, -0.52, -0.54, group="loses"),
        *seeds(vary, policy, -0.5, 0.5, 0.1, group="unclear"),
    ]
    lines = verdict(records)
    assert lines[0] == (
        "At equal mean tokens on the same tokenizer, choosing by image beats the best mixture that "
        "ignores it for 2 of 4 policies, loses for 1, and is not distinguishable for 1."
    )
    assert lines[1] == "Largest skill: 0.52 [0.47, 0.57] over 3 seeds, wins."
    assert len(lines) == 2


def test_one_seed_gives_no_verdict_and_that_is_said(done, vary):
    records = seeds(vary, done[1], 0.9, group="single")
    assert verdict(records) == ["One seed, so no interval and no verdict: single."]
    assert summary_rows(records)[0]["skill"] == "0.90 (one seed)"


def test_a_collapsed_policy_without_skill_is_told_not_dropped(done, vary):
    records = seeds(
        vary, vary(done[1], metrics={"collapsed": True}), None, 0.5, group="collapsed policy"
    ) + seeds(vary, done[1], 0.1, 0.2, group="fine")
    row = row_of(summary_rows(records), "collapsed policy")
    assert (row["skill"], row["collapsed"]) == ("-", "yes")
    lines = verdict(records)
    assert "of 1 policies" in lines[0]
    assert lines[-1].startswith("No skill, since ")
    assert lines[-1].endswith(": collapsed policy.")


def test_a_policy_is_set_against_the_tokenizer_of_its_length(done, vary):
    elastic, policy, _, fixed = done
    policies = [
        vary(
            policy,
            metrics={"mean_tokens": tokens, "mse": mse},
            settings={"policy.seed": seed},
            group="near",
        )
        for seed, tokens, mse in ((0, 2.2, 0.03), (1, 2.4, 0.05))
    ] + [vary(policy, metrics={"mean_tokens": 3.0}, group="far")]
    fixed = vary(fixed, metrics={"mse": 0.05})
    lines = [line for line in verdict([elastic, *policies, fixed]) if line.startswith("Against")]
    assert lines == [
        "Against a tokenizer trained for exactly 2 tokens: near at 2.30 tokens has 20.0 % less "
        "distortion (one training each: no interval over trainings)."
    ]
    fixed = vary(fixed, metrics={"mse": 0.032})
    (line,) = (line for line in verdict([*policies[:2], fixed]) if line.startswith("Against"))
    assert "25.0 % more distortion" in line


def test_several_trainings_of_a_length_are_paired_by_seed(done, vary):
    _, policy, _, fixed = done

    def trained(record, seed, mse, **metrics):
        metrics = {"mse": mse, **metrics}
        return vary(record, metrics=metrics, settings={"training.seed": seed}, group=record.arm)

    ours = [trained(policy, s, m, mean_tokens=2.2) for s, m in ((0, 0.022), (1, 0.044))]
    theirs = [trained(fixed, s, m) for s, m in ((0, 0.02), (1, 0.04), (2, 9.0))]
    (line,) = (line for line in verdict([*ours, *theirs]) if line.startswith("Against"))
    assert line == (
        "Against a tokenizer trained for exactly 2 tokens: policy at 2.20 tokens has 10.0 % more "
        "distortion (10.0 [10.0, 10.0] %, paired by 2 training seeds)."
    )
    theirs[1] = vary(theirs[1], settings={"tokenizer.budgets": [3]})
    assert not [line for line in verdict([*ours, *theirs]) if line.startswith("Against")]


def test_many_policies_are_told_by_their_extremes_and_tokenizers_of_a_length_by_name(done, vary):
    _, policy, _, fixed = done

    def trained(record, arm, mses, **metrics):
        return [
            vary(record, metrics={"mse": mse, **metrics}, settings={"training.seed": seed},
                 arm=arm, group=arm, cell_key=f"{arm} {seed}")
            for seed, mse in enumerate(mses)
        ]  # fmt: skip

    ours = []
    for place in range(5):
        mses = [0.02 * (0.9 + 0.1 * place), 0.04 * (0.91 + 0.1 * place)]
        ours += trained(policy, f"policy {place}", mses, mean_tokens=2.2)
    short = trained(fixed, "short", [0.02, 0.04])
    lines = [line for line in verdict([*ours, *short]) if line.startswith("Against")]
    assert lines == [
        "Against a tokenizer trained for exactly 2 tokens: of 5 policies, whatever their trainings "
        "cost, the extremes: policy 0 at 2.20 tokens has 9.5 % less distortion (-9.5 [-15.9, -3.1] "
        "%, paired by 2 training seeds); policy 4 at 2.20 tokens has 30.5 % more distortion (30.5 "
        "[24.1, 36.9] %, paired by 2 training seeds); more is shown for 3, less for 1, uncorrected."
    ]
    both = [*ours[:2], *short, *trained(fixed, "long", [0.01, 0.02])]
    first, second = (line for line in verdict(both) if line.startswith("Against"))
    assert first.startswith("Against a tokenizer trained for exactly 2 tokens (short): policy 0 at")
    assert second.startswith("Against a tokenizer trained for exactly 2 tokens (long): policy 0 at")


def test_the_page_names_question_protocol_and_kind_of_interval(records, tmp_path):
    made = report(records, tmp_path / "out")
    (path,) = made.files
    assert path == tmp_path / "out" / "summary.txt"
    assert path.read_text("utf-8") == made.text
    lines = made.text.splitlines()
    assert lines[0] == "Does letting the image choose beat not letting it?"
    assert lines[2].startswith("24 validation images of 32 px, protocol ")
    assert records[0].protocol_hash in lines[2]
    assert lines[2].endswith("intervals: 95 % Student t over policy seeds")


def test_failed_cells_are_on_the_page(records, tmp_path):
    text = report(records, tmp_path).text
    failed = [line for line in text.splitlines() if line.startswith("failed: ")]
    assert [line.split(": tokenizer")[0] for line in failed] == [
        "failed: diverged: seed 0",
        "failed: diverged: seed 1",
    ]
    assert all("DivergedError" in line for line in failed)


def test_without_any_result_the_page_says_why(records, vary, tmp_path):
    failed = [record for record in records if record.status == "failed"]
    pending = vary(failed[0], status="pending", error=None, label="waiting")
    text = report([*failed, pending], tmp_path).text
    assert text.splitlines() == [
        "Does letting the image choose beat not letting it?",
        "",
        *[f"failed: {record.label}: {record.error}" for record in failed],
        "pending: waiting: not run",
    ]


def test_a_length_never_trained_is_marked_and_the_mark_explained(tokenizer, tmp_path):
    text = report([tokenizer(untrained=(4,))], tmp_path).text
    marked = [line for line in text.splitlines() if "fixed budget *" in line]
    assert [line.split("*")[1].split()[:2] for line in marked] == [["-", "4"]]  # seeds, tokens
    assert "* length never trained" in text
    assert "*" not in report([tokenizer()], tmp_path).text


def test_policies_of_one_tokenizer_are_no_repetitions_of_its_training(tokenizer, policy, tmp_path):
    skills = {0: (0.1, 0.3), 1: (0.5, 0.7)}
    records = [
        policy(skill=skill, seed=seed, training_seed=training)
        for training, both in skills.items()
        for seed, skill in enumerate(both)
    ]
    (row,) = summary_rows(records)
    assert (row["seeds"], row["skill"]) == (2, "0.40 [-2.14, 2.94]")
    text = report(records, tmp_path).text
    assert "over training seeds, policies averaged within each" in text


def test_an_allocator_has_a_row_and_no_part_in_the_verdict(tokenizer, allocator, policy, vary):
    records = [tokenizer(), *(allocator(seed=seed) for seed in (0, 1))]
    row = row_of(summary_rows(records), "heuristics")
    assert (row["tokens"], row["mse"], row["shuffled"]) == (6.0, 0.013, "-0.25")
    assert verdict(records) == []
    alone = vary(allocator(), controls={})
    assert row_of(summary_rows([alone]), "heuristics")["shuffled"] == "-"
    both = [policy(skill=skill, seed=seed) for seed, skill in enumerate((0.5, 0.51))]
    assert "for 1 of 1 policies" in verdict([*records, *both])[0]


def test_without_policies_intervals_are_over_trainings(tokenizer, allocator, tmp_path):
    records = [tokenizer(), *(allocator(training_seed=seed) for seed in (0, 1))]
    assert "over training seeds" in report(records, tmp_path).text
