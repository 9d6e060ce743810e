import pytest

from adatok_core.config import Distillation, LengthSampling, LoRA, TokenizerConfig
from adatok_core.config.lengths import lengths_problem

FEATURES = Distillation(of="features")


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
