import math

import pytest

from adatok_core.config import GeneratorConfig, GeneratorTraining, Sampling

UNCONDITIONAL = {"class_conditional": False, "class_dropout": 0.0}

OUT_OF_RANGE = [
    *((GeneratorConfig, {key: 0}, key) for key in ("width", "depth", "attention_heads", "hidden")),
    (GeneratorConfig, {"width": 24, "attention_heads": 5}, "attention_heads"),
    (GeneratorConfig, {"width": 12, "attention_heads": 4}, "attention_heads"),
    (GeneratorConfig, {"class_dropout": -0.1}, "class_dropout"),
    (GeneratorConfig, {"class_dropout": 1.0}, "class_dropout"),
    (GeneratorConfig, {"class_conditional": False}, "class_dropout"),
    *(
        (GeneratorTraining, {key: 0}, key)
        for key in ("steps", "batch", "learning_rate", "gradient_clip", "log_every")
    ),
    (GeneratorTraining, {"checkpoint_every": 0}, "checkpoint_every"),
    (GeneratorTraining, {"warmup_steps": -1}, "warmup_steps"),
    (GeneratorTraining, {"steps": 5, "warmup_steps": 5}, "warmup_steps"),
    (GeneratorTraining, {"weight_decay": -1e-3}, "weight_decay"),
    (GeneratorTraining, {"ema_decay": -0.1}, "ema_decay"),
    (GeneratorTraining, {"ema_decay": 1.0}, "ema_decay"),
    (GeneratorTraining, {"seed": -1}, "seed"),
    (Sampling, {"temperature": -0.1}, "temperature"),
    *((Sampling, {"temperature": value}, "temperature") for value in (math.nan, math.inf)),
    (Sampling, {"top_k": -1}, "top_k"),
    (Sampling, {"top_p": 0.0}, "top_p"),
    (Sampling, {"top_p": 1.1}, "top_p"),
    *((Sampling, {"guidance": value}, "guidance") for value in (0.9, math.nan, math.inf)),
]

ON_THE_EDGE = [
    (GeneratorConfig, {"width": 2, "depth": 1, "attention_heads": 1, "hidden": 1}),
    (GeneratorConfig, {"width": 12, "attention_heads": 4, "positions": "learned"}),
    (GeneratorConfig, {"class_dropout": 0.0}),
    (GeneratorConfig, {"class_dropout": 0.999}),
    (GeneratorConfig, UNCONDITIONAL),
    (GeneratorTraining, {"steps": 2, "warmup_steps": 1, "batch": 1, "log_every": 1}),
    (GeneratorTraining, {"warmup_steps": 0, "weight_decay": 0.0, "ema_decay": 0.0, "seed": 0}),
    (Sampling, {"temperature": 0.0, "top_k": 0, "top_p": 1.0, "guidance": 1.0}),
    (Sampling, {"temperature": 9.0, "top_k": 1, "top_p": 1e-3, "guidance": 9.0}),
]


@pytest.mark.parametrize(("kind", "values", "key"), OUT_OF_RANGE)
def test_a_value_out_of_range_is_refused_by_its_key(refused, kind, values, key):
    refused(kind, values, key)


@pytest.mark.parametrize(("kind", "values"), ON_THE_EDGE)
def test_the_ends_of_a_range_are_accepted(accepted, kind, values):
    accepted(kind, values)


@pytest.mark.parametrize("kind", [GeneratorConfig, GeneratorTraining, Sampling])
def test_defaults_are_valid_frozen_and_strict(frozen_and_strict, kind):
    frozen_and_strict(kind())
