import pytest

from bench.suite.labels import describe, describe_sweep

SWEPT = {
    "tokenizer.lora.rank": 8,
    "policy.weighting": {"kind": "constraint", "mean_budget": 6},
    "policy.candidates": [2, 4, 8],
    "policy.seed": 1,
}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"kind": "constraint", "mean_budget": 6}, "constraint mean_budget 6"),
        ({"kind": "fixed", "efficiency": 0.5}, "fixed efficiency 0.5"),
        ([2, 4, 8], "2-4-8"),
        ((2, 4), "2-4"),
        ("l1", "l1"),
        (None, "None"),
    ],
)
def test_values(value, expected):
    assert describe(value) == expected


def test_a_sweep_names_the_last_two_keys_and_lets_mappings_speak():
    assert describe_sweep(SWEPT) == (
        "lora.rank 8, constraint mean_budget 6, candidates 2-4-8, seed 1"
    )
    assert describe_sweep({}) == ""


def test_seeds_and_other_parts_can_be_left_out():
    assert describe_sweep(SWEPT, seeds=False) == (
        "lora.rank 8, constraint mean_budget 6, candidates 2-4-8"
    )
    assert describe_sweep(SWEPT, under=("policy.",), seeds=False) == (
        "constraint mean_budget 6, candidates 2-4-8"
    )
    assert describe_sweep(SWEPT, under=("tokenizer.", "training.")) == "lora.rank 8"
