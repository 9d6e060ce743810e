import datetime
import math
import re

import pytest

from bench.config.cell import CellConfig
from bench.config.settings import parse
from bench.errors import UserError, suggestion
from bench.suite.loading import SuiteFile

DATA = {"kind": "fluent_scenes", "train": 10, "validation": 5}
POLICY = {"candidates": [2, 4]}
SUITE = {"suite": "s", "question": "?", "base": {}, "arms": [{"name": "a"}]}


def refusal(raw, kind=CellConfig):
    with pytest.raises(UserError) as error:
        parse(kind, raw, where="suite.yaml: arm 'a'")
    message = str(error.value)
    assert "\n" not in message
    assert message.startswith("suite.yaml: arm 'a': ")
    return message.removeprefix("suite.yaml: arm 'a': ")


def cell(**parts):
    return {"data": DATA, "tokenizer": {"budgets": [2, 4]}, **parts}


def weighting(**settings):
    return cell(policy={**POLICY, "weighting": settings})


def test_builds_nested_settings_and_fills_in_defaults():
    settings = parse(
        CellConfig,
        cell(
            tokenizer={"budgets": [2, 4], "quantizer": {"kind": "vq", "codebook_size": 8}},
            training={"learning_rate": 1},
            policy={**POLICY, "weighting": {"kind": "constraint", "mean_budget": 3}},
        ),
        where="x",
    )
    assert settings.tokenizer.budgets == (2, 4)
    assert settings.tokenizer.quantizer.codebook_size == 8
    assert settings.training.learning_rate == 1.0
    assert isinstance(settings.training.learning_rate, float)
    assert settings.policy.weighting.mean_budget == 3.0
    assert settings.data.resolution == 32


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (
            cell(tokenizer={"lora": {"rnak": 3}}),
            "tokenizer.lora.rnak: unknown key; did you mean 'rank'?",
        ),
        (cell(trainning={}), "trainning: unknown key; did you mean 'training'?"),
        (
            cell(data={**DATA, "patth": "x"}),
            "data.patth: unknown key; "
            "valid: limit, ids, kind, resolution, train, validation, calibration, seed, augment",
        ),
        (
            cell(data={"kind": "image_folder", "patth": "x"}),
            "data.path: missing; this key has no default",
        ),
        (
            cell(data={"kind": "image_folder", "path": "p", "patth": "x"}),
            "data.patth: unknown key; did you mean 'path'?",
        ),
        (
            cell(policy={**POLICY, "objective": {"kind": "ppo", "entropy": {"start": 1}}}),
            "policy.objective.entropy.end: missing; this key has no default",
        ),
    ],
)
def test_unknown_and_missing_keys_are_named_with_their_path(raw, expected):
    assert refusal(raw) == expected


@pytest.mark.parametrize(
    ("raw", "path", "what"),
    [
        (cell(training={"steps": "many"}), "training.steps", "integer, not 'many'"),
        (cell(training={"steps": True}), "training.steps", "integer, not True"),
        (cell(training={"steps": 2.0}), "training.steps", "integer, not 2.0"),
        (cell(training={"learning_rate": True}), "training.learning_rate", "number, not True"),
        (cell(training={"pixel_loss": "l3"}), "training.pixel_loss", "'l1' or 'l2', not 'l3'"),
        (cell(tokenizer={"budgets": 8}), "tokenizer.budgets", "array, not 8"),
        (cell(tokenizer={"budgets": [2, "x"]}), "tokenizer.budgets.1", "integer, not 'x'"),
        (cell(tokenizer=None), "tokenizer", "object, not None"),
        (cell(data=3), "data", "object, not 3"),
        (cell(policy=[]), "policy", "object, not []"),
    ],
)
def test_wrong_types_are_refused_not_converted(raw, path, what):
    message = refusal(raw)
    assert message.startswith(f"{path}: ")
    assert what in message


def test_numbers_that_yaml_reads_as_text_come_with_the_remedy():
    hint = "YAML reads this as text: write it like 1.0e-3"
    assert refusal(cell(training={"learning_rate": "1e-3"})).endswith(f"not '1e-3'; {hint}")
    assert refusal(cell(training={"steps": "3"})).endswith("reads this as text: drop the quotes")
    assert "YAML" not in refusal(cell(training={"steps": "many"}))


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        (cell(data={"train": 10}), "data.kind"),
        (cell(tokenizer={"quantizer": {"levels": [3]}}), "tokenizer.quantizer.kind"),
        (weighting(efficiency=0.5), "policy.weighting.kind"),
        (weighting(kind=None), "policy.weighting.kind"),
    ],
)
def test_alternatives_must_be_named(raw, path):
    assert refusal(raw) == f"{path}: missing; say which kind is meant"


def test_an_unknown_kind_comes_with_all_that_there_are():
    message = refusal(cell(data={"kind": "imagenet"}))
    assert message == (
        "data.kind: input should be 'fluent_scenes' or 'image_folder' or 'webdataset', "
        "not 'imagenet'; did you mean 'image_folder'?"
    )
    message = refusal(cell(data={"kind": 3}))
    assert (
        message
        == "data.kind: input should be 'fluent_scenes' or 'image_folder' or 'webdataset', not 3"
    )
    message = refusal(cell(tokenizer={"quantizer": {"kind": "fsqq", "levels": [1]}}))
    assert message == "tokenizer.quantizer.kind: input should be " + (
        "'fsq' or 'lfq' or 'vq' or 'residual_vq', not 'fsqq'; did you mean 'fsq'?"
    )


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (
            weighting(kind="constraint", efficiency=1),
            "policy.weighting.efficiency: unknown key; "
            "valid: kind, mean_budget, quality_drop, step_size",
        ),
        (
            weighting(kind="fixed", mean_budget=3),
            "policy.weighting.mean_budget: unknown key; valid: kind, efficiency",
        ),
        (
            weighting(kind="constraint", mean_budget="4"),
            "policy.weighting.mean_budget: input should be a valid number, not '4'; "
            "YAML reads this as text: drop the quotes",
        ),
        (
            weighting(kind="constraint"),
            "policy.weighting: mean_budget, quality_drop: give exactly one of them",
        ),
    ],
)
def test_only_the_alternative_that_is_meant_is_spoken_of(raw, expected):
    assert refusal(raw) == expected


@pytest.mark.parametrize(
    ("raw", "path", "what"),
    [
        (weighting(kind="fixed", efficiency=2), "policy.weighting", "efficiency: must lie in"),
        (cell(training={"learning_rate": 0}), "training", "learning_rate: must be positive"),
        (cell(bank={"batch": 0}), "bank", "batch: must be 1 or more"),
        (cell(bank={"shard": -1}), "bank", "shard: must be 1 or more"),
        (cell(bank={"policy_images": 0}), "bank", "policy_images: must be 1 or more"),
        (cell(bank={"extractor_resolution": 31}), "bank", "extractor_resolution: must be 32"),
        (cell(data={**DATA, "resolution": 0}), "data", "resolution must be between"),
    ],
)
def test_values_out_of_range_are_refused(raw, path, what):
    assert refusal(raw).startswith(f"{path}: {what}")


@pytest.mark.parametrize(
    "value", [math.inf, -math.inf, math.nan, datetime.date(2026, 1, 1), 2**63, b"x"]
)
def test_values_that_no_setting_can_have_are_refused(value):
    message = refusal(cell(training={"learning_rate": value}))
    assert message.startswith("training.learning_rate: ")
    assert re.search("no finite number|no plain value|fits into 64 bits", message)


def test_keys_of_the_suite_itself():
    assert refusal({**SUITE, "quesion": 1}, SuiteFile).startswith(
        "quesion: unknown key; did you mean 'question'?"
    )
    assert refusal({**SUITE, "arms": [{"name": "a", "sweeep": {}}]}, SuiteFile) == (
        "arms.0.sweeep: unknown key; did you mean 'sweep'?"
    )
    assert refusal({**SUITE, "arms": [{"name": "a", "sweep": {"x": 3}}]}, SuiteFile).startswith(
        "arms.0.sweep.x: input should be a valid array"
    )
    assert refusal({**SUITE, "arms": []}, SuiteFile) == "arms: a suite needs at least one"
    assert "names a folder" in refusal({**SUITE, "suite": "../up"}, SuiteFile)
    assert "'cpu' or 'cuda'" in refusal({**SUITE, "device": "gpu"}, SuiteFile)
    assert refusal({**SUITE, "resources": {"tokeniser": {}}}, SuiteFile) == (
        "resources.tokeniser: unknown stage; did you mean 'tokenizer'?"
    )
    for cpus, gpus in ((0, 0.0), (1, -0.5)):
        request = {"bank": {"cpus": cpus, "gpus": gpus}}
        assert refusal({**SUITE, "resources": request}, SuiteFile).startswith("resources.bank: ")


def test_suggestion_is_the_nearest_or_all_that_is_valid():
    assert suggestion("rnak", ["rank", "alpha"]) == "; did you mean 'rank'?"
    assert suggestion("xyz", ["rank", "alpha"]) == "; valid: rank, alpha"
    assert suggestion("xyz", []) == ""
