import re

import pytest

from adatok_core.config import PolicyConfig
from bench.config.cell import CellConfig
from bench.config.settings import plain
from bench.data.datasets import FluentScenes
from bench.errors import UserError
from bench.records.groups import group_by_seed, is_reconstruction, repetition_name, repetition_seed

SETTINGS = plain(CellConfig(data=FluentScenes(train=8, validation=8)))
POLICY = plain(PolicyConfig(candidates=(2, 4)))


@pytest.fixture
def record(made_record):
    """`record(training=.., policy=.., value=.., group=..)`: with these seeds, and this mse."""

    def record(*, training=0, policy=0, value=1.0, group="a", **keys):
        return made_record(
            group=group,
            settings={
                **SETTINGS,
                "training": {**SETTINGS["training"], "seed": training},
                "policy": None if policy is None else {**POLICY, "seed": policy},
            },
            metrics={"mse": value},
            **keys,
        )

    return record


@pytest.mark.parametrize(
    ("seeds", "expected"),
    [
        ([(0, 0), (0, 1)], "policy.seed"),
        ([(0, 0), (1, 0)], "training.seed"),
        ([(0, 0), (1, 1)], "training.seed"),
        ([(0, 0)], "policy.seed"),
        ([(0, None)], "training.seed"),
        ([(0, None), (1, None)], "training.seed"),
        # One side has no policy: its seed cannot pair the two.
        ([(0, 0), (0, 1), (0, None)], "training.seed"),
        ([(0, None), (0, 0)], "training.seed"),
    ],
)
def test_repetitions_are_told_apart_by_the_earliest_seed_that_all_have(record, seeds, expected):
    assert repetition_seed([record(training=t, policy=p) for t, p in seeds]) == expected


def test_seeds_have_names():
    assert repetition_name("finetuning.training.seed") == "training seeds"
    assert repetition_name("policy.seed") == "policy seeds"


def test_groups_keep_their_order_and_average_what_shares_a_seed(record):
    records = [record(group=g, training=t, value=t + len(g)) for t in (0, 1) for g in ("b", "aa")]
    first, second = group_by_seed(records)
    assert (first.label, second.label) == ("b", "aa")
    assert first.by_seed(lambda r: r.metrics.value("mse")) == {0: 1, 1: 2}
    assert first.by_seed(lambda r: r.metrics.value("mse"), path="policy.seed") == {0: 1.5}
    assert first.by_seed(lambda r: None) is None
    assert first.interval("mse").n == first.repetitions == 2


def test_generators_are_repeated_by_their_training_then_by_the_seed_of_their_samples(made_record):
    def cell(training, samples):
        generation = {"training": {"seed": training}, "seed": samples}
        return made_record(settings={**SETTINGS, "generation": generation})

    assert repetition_seed([cell(0, 0), cell(1, 0)]) == "generation.training.seed"
    assert repetition_seed([cell(0, 0), cell(0, 1)]) == "generation.seed"
    assert repetition_name("generation.training.seed") == "generator seeds"
    assert repetition_name("generation.seed") == "generator seeds"


def test_records_without_a_kind_are_of_reconstructions(record, generation_run):
    assert is_reconstruction(record())
    assert not is_reconstruction(generation_run.record("adaptive"))


def test_members_of_a_group_differ_in_seeds_only(record, made_record):
    def cell(key, **training):
        settings = {**SETTINGS, "training": {**SETTINGS["training"], **training}}
        return made_record(cell_key=key, group="a", settings=settings)

    assert len(group_by_seed([cell("x", seed=0), cell("y", seed=1)])) == 1
    line = "cells x and z of suite .* are both called 'a' but differ in training.steps (2000 and 7)"
    steps = SETTINGS["training"]["steps"]
    line = re.escape(line).replace(r"\.\*", ".*").replace("2000", str(steps))
    with pytest.raises(UserError, match=line) as error:
        group_by_seed([cell("x", seed=0), cell("y", seed=1), cell("z", seed=0, steps=7)])
    assert "\n" not in str(error.value)
    with pytest.raises(UserError, match="but differ in policy"):
        group_by_seed([record(), record(policy=None)])


def test_a_length_that_follows_the_seeds_sets_nobody_apart(small_run, vary_record):
    fixed = small_run.record("fixed_at_mean")
    settings = {**fixed.settings, "tokenizer": {**fixed.settings["tokenizer"], "budgets": [4]}}
    longer = vary_record(fixed, cell_key="longer", settings=settings)
    assert len(group_by_seed([fixed, longer])) == 1
    with pytest.raises(UserError, match=r"but differ in tokenizer.budgets"):
        group_by_seed([vary_record(one, length_from=None) for one in (fixed, longer)])
