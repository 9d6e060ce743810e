import pytest

from bench.records.settings_paths import flatten, varying
from bench.tracker.parameters import parameters, repetition


@pytest.fixture
def record(made_record):
    def record(settings, swept=()):
        swept = dict.fromkeys(swept)
        return made_record(arm="a", group="a: x", settings=settings, swept=swept)

    return record


SETTINGS = {
    "data": {"kind": "fluent_scenes", "resolution": 32, "train": 9, "seed": 0},
    "tokenizer": {
        "budgets": [1, 2],
        "width": 96,
        "quantizer": {"kind": "fsq", "levels": [8, 8]},
        "lora": {"rank": 2, "alpha": 1.0},
    },
    "training": {"seed": 3, "batch": 8},
    "policy": None,
    "allocator": None,
}


def test_what_names_a_cell_and_its_seeds(record):
    assert parameters(record(SETTINGS), set()) == {
        "arm": "a",
        "group": "a: x",
        "data.kind": "fluent_scenes",
        "data.resolution": "32",
        "data.seed": "0",
        "tokenizer.budgets": "[1,2]",
        "tokenizer.quantizer.kind": "fsq",
        "tokenizer.quantizer.levels": "[8,8]",
        "tokenizer.lora.rank": "2",
        "training.seed": "3",
    }


def test_what_is_swept_or_varies_is_added_even_where_it_is_null(record):
    swept = parameters(record(SETTINGS, swept=["tokenizer.lora"]), {"policy", "training.batch"})
    extra = {"tokenizer.lora.alpha": "1.0", "training.batch": "8", "policy": "null"}
    assert swept == parameters(record(SETTINGS), set()) | extra


def test_a_reference_to_a_budget_is_a_parameter(record):
    settings = {"tokenizer": {"budgets": {"mean_budget_of": "policy", "where": {}}}}
    assert parameters(record(settings), set())["tokenizer.budgets.mean_budget_of"] == "policy"


def test_values_too_long_to_filter_on_are_left_to_the_artifact(record):
    settings = {"tokenizer": {"budgets": list(range(400))}}
    assert parameters(record(settings), set()) == {"arm": "a", "group": "a: x"}


def test_what_varies(record):
    one = record({"a": {"b": 1, "c": [1]}, "d": None})
    other = record({"a": {"b": 2, "c": [1]}, "d": {"e": 3}})
    assert varying([one, one]) == set()
    assert varying([one, other]) == varying([other, one]) == {"a.b"}


def test_the_seed_of_a_repetition(record):
    settings = {"training": {"seed": 3}, "policy": {"seed": 5, "steps": 2}}
    assert repetition(record(settings)) == "3"
    assert repetition(record(settings, swept=["policy.steps"])) == "3"
    assert repetition(record(settings, swept=["policy.seed", "training.seed"])) == "5"
    assert repetition(record({"data": {}})) == ""


def test_flatten_gives_leaves_by_dotted_path():
    settings = {"a": {"b": 1, "c": {"d": [1, 2]}}, "e": None}
    assert dict(flatten(settings)) == {"a.b": 1, "a.c.d": [1, 2], "e": None}
