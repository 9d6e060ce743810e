import pytest

from reports.page.verdicts import verdict_lines
from reports.tables.generation import table
from reports.tables.generation_verdict import generation_verdict

POLICY = {"candidates": [2, 4, 8], "weighting": {"kind": "constraint", "mean_budget": 6}}
GENERATION = {"generator": {"lengths": "end_token"}, "training": {"steps": 300}, "budget": None}


@pytest.fixture
def pair(generated):
    """`pair(seed, adaptive, fixed)`: records of both sides with these distances."""

    def pair(seed, adaptive, fixed, **training):
        asked = {**GENERATION, "training": {"steps": 300, "seed": seed}}
        one = {**asked, "generator": {}, "budget": "all"}
        one["training"] = {**one["training"], **training}
        return [
            generated("end token", seed=seed, gfd_lite0=adaptive, mean_tokens_data=5.9,
                      settings={"policy": POLICY, "generation": asked}),
            generated("one length", seed=seed, gfd_lite0=fixed, mean_tokens_data=6.0,
                      length_from={"mean_budget_of": "policy"}, settings={"generation": one}),
        ]  # fmt: skip

    return pair


def test_seeds_are_paired_and_the_sign_says_who_is_better(pair):
    better = [r for s in range(3) for r in pair(s, 30.0 + s, 33.0 + s + s / 10)]
    (said,) = generation_verdict(better)
    assert said == (
        "end token (mean 5.9 tokens) against one length (6), equal generator training: gFD (Lite0) "
        "31 against 34.1, -3.1 [-3.35, -2.85] over 3 seeds: adaptive is better."
    )
    assert table(better).notes[-1] == said
    assert verdict_lines(better) == [said]
    worse = [r for s in range(3) for r in pair(s, 33.0 + s, 30.0 + s + s / 10)]
    assert generation_verdict(worse)[0].endswith("adaptive is worse.")
    level = [r for s in range(3) for r in pair(s, 30.0 + (-1) ** s, 30.0)]
    assert generation_verdict(level)[0].endswith("no difference shown.")


def test_one_seed_and_another_training_are_said(pair):
    (said,) = generation_verdict(pair(0, 30.0, 33.0, steps=600))
    assert "another generator training" in said
    assert said.endswith("one seed, so no interval and no verdict.")


def test_without_a_length_from_a_policy_there_is_none(pair, generated):
    assert generation_verdict([pair(0, 30.0, 33.0)[0], generated("fixed")]) == []
