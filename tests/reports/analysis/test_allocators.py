import pytest
from reports.analysis.allocators import allocator_words, control_words


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
        (None, "fixed budget"),
        ({"kind": "png_size", "mean_budget": 6}, "PNG size"),
        ({"kind": "threshold", "search": "scan", "mean_budget": 6}, "threshold, scan"),
        ({"kind": "threshold", "search": "bisection"}, "threshold, bisection"),
        ({"kind": "own", "target": 0.08}, "its own halting at 0.08"),
        ({"kind": "of_a_kind_to_come"}, "of a kind to come"),
    ],
)
def test_other_allocators_by_their_kind(tokenizer, vary, settings, words):
    assert allocator_words(vary(tokenizer(), settings={"allocator": settings})) == words


def test_controls():
    assert control_words("agnostic") == "agnostic mixture"
    assert control_words("threshold_scan") == "threshold, scan"
    assert control_words("new_one") == "new one"
