import pytest

from adatok_core.config import Distillation, LengthSampling, LoRA, TokenizerConfig
from adatok_core.config.lengths import lengths_problem

FEATURES = Distillation(of="features")

OUT_OF_RANGE = [
    ({"full_share": -0.1}, "full_share"),
    ({"full_share": 1.1}, "full_share"),
    ({"distribution": "policy", "share": -0.1}, "share"),
    ({"distribution": "policy", "share": 1.1}, "share"),
    ({"share": 0.5}, "share"),
    ({"distribution": "all", "rest": "all"}, "rest"),
    ({"drawn": 2}, "drawn"),
    ({"decodes": "pairs", "drawn": 2}, "drawn"),
    ({"decodes": "pairs", "full_share": 0.1}, "full_share"),
    ({"decodes": "sandwich", "full_share": 1.0}, "full_share"),
    ({"distillation": Distillation()}, "distillation"),
    ({"self_alignment": 1.0}, "self_alignment"),
    ({"decodes": "pairs", "self_alignment": -1.0}, "self_alignment"),
]

ON_THE_EDGE = [
    {"full_share": 0},
    {"full_share": 1},
    {"distribution": "policy", "share": 0},
    {"distribution": "policy", "share": 1, "rest": "all"},
    {"decodes": "pairs", "distillation": Distillation(weight=1e-3), "self_alignment": 0},
    {"decodes": "sandwich", "drawn": 2, "distillation": FEATURES, "self_alignment": 2.0},
]


@pytest.mark.parametrize(("values", "key"), OUT_OF_RANGE)
def test_a_value_out_of_range_or_without_use_is_refused_by_its_key(refused, values, key):
    refused(LengthSampling, values, key)


@pytest.mark.parametrize("values", ON_THE_EDGE)
def test_the_ends_of_a_range_are_accepted(accepted, values):
    accepted(LengthSampling, values)


def test_a_distillation_has_a_weight(refused):
    for weight in (0.0, -1.0):
        refused(Distillation, {"weight": weight}, "weight")


@pytest.mark.parametrize("kind", [LengthSampling, Distillation])
def test_defaults_are_valid_frozen_and_strict(frozen_and_strict, kind):
    frozen_and_strict(kind())


SEPARATE = {"decoders": "per_budget", "lora": LoRA(rank=0)}


@pytest.mark.parametrize(
    ("tokenizer", "lengths", "problem"),
    [
        ({"encoding": "halting"}, {}, "decodes: pairs are not for the encoding halting"),
        ({"budgets": (6,)}, {}, "decodes: pairs of the only length 6; set it to one"),
        (SEPARATE, {"distillation": FEATURES}, "distillation.of: separate decoders"),
        (SEPARATE, {"self_alignment": 1.0}, "self_alignment: separate decoders"),
        (SEPARATE, {"distillation": Distillation()}, None),
        ({"budgets": (6,)}, {"distribution": "all"}, None),
        ({"encoding": "told"}, {"self_alignment": 1.0}, None),
    ],
)
def test_lengths_that_a_tokenizer_cannot_be_trained_at(tokenizer, lengths, problem):
    config = TokenizerConfig(**tokenizer)
    assert lengths_problem(config, LengthSampling()) is None
    found = lengths_problem(config, LengthSampling(decodes="pairs", **lengths))
    assert found is None if problem is None else found.startswith(f"lengths.{problem}")
