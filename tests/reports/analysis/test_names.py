import pytest

from reports.analysis.names import (
    allocation_label,
    allocator_name,
    allocator_words,
    control_words,
    natural,
    system_label,
    tokenizer_family,
    tokenizer_key,
    tokenizer_label,
    weighting_name,
)


@pytest.mark.parametrize(
    ("objective", "seen", "words"),
    [
        ({"kind": "deterministic_group"}, "latents", "policy"),
        ({"kind": "deterministic_group"}, "pixels", "policy, from pixels"),
        ({"kind": "supervised", "centred": False}, "latents", "supervised"),
        ({"kind": "supervised", "centred": True}, "latents", "supervised, centred"),
        ({"kind": "supervised", "centred": True}, "pixels", "complexity predictor, from pixels"),
    ],
)
def test_policies_by_what_they_learn_and_see(policy, vary, objective, seen, words):
    record = vary(policy(), settings={"policy.objective": objective, "policy.input": seen})
    assert allocator_words(record) == words


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"kind": "png_size", "mean_budget": 6.0}, "PNG size"),
        ({"kind": "edge_density", "mean_budget": 6.0}, "edge density"),
        ({"kind": "threshold", "search": "scan", "mean_budget": 6.0}, "threshold, scan"),
        ({"kind": "threshold", "search": "bisection", "distortion": 0.1}, "threshold, bisection"),
        ({"kind": "own", "target": 0.08}, "its own halting at 0.08"),
    ],
)
def test_other_allocators_by_their_kind(allocator, settings, words):
    assert allocator_words(allocator(allocator=settings)) == words


def test_without_an_allocator_budgets_are_fixed(tokenizer):
    assert allocator_words(tokenizer()) == "fixed budget"


def test_controls():
    assert control_words("agnostic") == "agnostic mixture"
    assert control_words("threshold_scan") == "threshold, scan"
    assert control_words("new_one") == "new one"


SWEPT = {
    "tokenizer.lora.rank": 8,
    "training.seed": 1,
    "policy.weighting": {"kind": "fixed", "efficiency": 0.5},
    "policy.seed": 2,
}


def test_labels_name_the_arm_and_what_was_swept_of_their_part(policy, vary):
    record = vary(policy(), swept=SWEPT)
    assert tokenizer_label(record) == "policy, lora.rank 8, seed 1"
    assert tokenizer_family(record) == "policy, lora.rank 8"
    assert allocation_label(record) == "policy, fixed efficiency 0.5"
    plain = vary(policy(), swept={"policy.seed": 2})
    assert (tokenizer_label(plain), allocation_label(plain)) == ("policy", "policy")


def test_weightings_are_named_by_aim_and_by_what_is_swept_of_them(policy):
    fixed = {"kind": "fixed", "efficiency": 0.5}
    assert weighting_name(policy(weighting=fixed)) == "fixed 0.5"
    dual = {"kind": "constraint", "mean_budget": 6.0, "quality_drop": None, "step_size": 0.1}
    assert weighting_name(policy(weighting=dual)) == "constraint 6"
    drop = {**dual, "mean_budget": None, "quality_drop": 0.1}
    assert weighting_name(policy(weighting=drop)) == "constraint drop 0.1"
    for swept in ({"policy.weighting.step_size": 0.1}, {"policy.weighting": dual}):
        assert weighting_name(policy(weighting=dual, swept=swept)) == "constraint 6, step_size 0.1"


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
            {"kind": "codebook_entropy", "candidates": [2, 4], "mean_budget": 3.0, "prefix": 2},
            "codebook_entropy 3 candidates 2-4 prefix 2",
        ),
        ({"kind": "own", "candidates": None, "target": 0.05}, "own 0.05"),
    ],
)  # fmt: skip
def test_allocators_are_named_by_kind_and_aim(allocator, vary, settings, name):
    record = allocator(allocator=settings)
    assert allocator_name(record) == name
    assert allocation_label(record) == f"heuristics, {name}"
    assert allocation_label(vary(record, arm=settings["kind"])) == name


def test_a_system_does_not_repeat_its_tokenizers_name(policy):
    assert system_label(policy("KARL, policies"), "KARL") == "policies"
    assert system_label(policy("KARL"), "KARL") == "KARL"
    assert system_label(policy("KARL, policies"), "ALIT") == "KARL, policies"


def test_numbers_are_sorted_as_numbers():
    names = ["b 2", "a 16", "a 8", "a 8.5", "a"]
    assert sorted(names, key=natural) == ["a", "a 8", "a 8.5", "a 16", "b 2"]


def test_a_tokenizer_is_the_same_whatever_its_seed(tokenizer, vary):
    one, other = tokenizer(seed=0), tokenizer(seed=1)
    assert tokenizer_key(one) == tokenizer_key(other)
    assert tokenizer_key(vary(one, settings={"training.steps": 1000})) != tokenizer_key(one)
