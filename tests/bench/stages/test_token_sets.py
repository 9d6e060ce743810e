import shutil

import numpy as np
import pytest
import torch

from bench.artifacts.bank import Bank
from bench.artifacts.networks import load_policy
from bench.errors import UserError
from bench.stages.token_sets import (
    Lengths,
    classes_in_proportion,
    read_token_set,
    vocabulary_of,
)

TRAINING = "generator/training"


@pytest.fixture
def lengths(generation_run):
    """The policy's lengths."""
    return Lengths(
        None,
        generation_run.artifact("adaptive", "tokenizer"),
        generation_run.artifact("adaptive", "policy"),
    )


def test_ids_and_lengths_are_those_of_the_bank_and_the_policy(generation_run, lengths):
    bank = Bank.read(generation_run.artifact("adaptive", "bank"))
    images = read_token_set(bank, lengths, classes="objects")
    assert np.array_equal(images.ids, bank.array("ids"))
    policy, config = load_policy(lengths.policy)
    chosen = policy.choose(torch.from_numpy(np.array(bank.array("latents"))).float())
    assert images.lengths.tolist() == np.array(config.candidates)[chosen].tolist()
    assert lengths.budgets == (1, 2, 4)


def test_classes_are_labels_or_numbers_of_objects(generation_run, lengths):
    bank = Bank.read(generation_run.artifact("adaptive", TRAINING))
    table = bank.table().iloc[:: len(bank.budgets)]
    labels = read_token_set(bank, lengths, classes="label")
    assert labels.labels.tolist() == table["label"].tolist()
    assert set(labels.names.values()) == {"flat", "gradient", "textured"}
    objects = read_token_set(bank, lengths, classes="objects")
    assert objects.labels.tolist() == table["complexity"].tolist()
    assert objects.names[3] == "3 objects"
    some = objects.rows(np.array([4, 1]))
    assert some.labels.tolist() == objects.labels[[4, 1]].tolist()
    assert np.array_equal(some.ids, objects.ids[[4, 1]])


def test_a_budget_is_everyones_length(generation_run):
    tokenizer = generation_run.artifact("fixed", "tokenizer")
    bank = Bank.read(generation_run.artifact("fixed", "bank"))
    fixed = Lengths(2, tokenizer)
    assert fixed.budgets == (2,)
    assert set(fixed.of(bank).tolist()) == {2}
    assert Lengths.asked(2, tokenizer, None) == fixed
    assert Lengths.asked("all", tokenizer, None).budgets == (4,)
    vocabulary = vocabulary_of(fixed, kind="fixed", classes=3)
    assert (vocabulary.codes, vocabulary.budgets, vocabulary.classes) == (25, (2,), 3)


def test_a_bank_without_ids_or_of_another_tokenizer_is_refused(generation_run, lengths, tmp_path):
    bare = tmp_path / "bank"
    shutil.copytree(generation_run.artifact("adaptive", "bank"), bare)
    (bare / "ids.npy").unlink()
    with pytest.raises(UserError, match=r"holds no ids\.npy to learn from"):
        read_token_set(Bank.read(bare), lengths, classes="label")
    other = Bank(bare, {**Bank.read(bare).about, "tokenizer_sha256": "0" * 64})
    with pytest.raises(UserError, match="made with another tokenizer"):
        lengths.of(other)


def test_images_without_a_class_are_refused(generation_run, lengths, tmp_path):
    folder = tmp_path / "bank"
    shutil.copytree(generation_run.artifact("adaptive", "bank"), folder)
    table = Bank.read(folder).table()
    table["complexity"] = np.nan
    table.to_parquet(folder / "images.parquet", index=False)
    with pytest.raises(UserError, match="images without a class"):
        read_token_set(Bank.read(folder), lengths, classes="objects")


def test_classes_come_in_proportion_as_whole_images():
    labels = np.array([0, 0, 0, 2, 2, 5])
    assert classes_in_proportion(labels, 12).tolist() == [0] * 6 + [2] * 4 + [5] * 2
    assert len(classes_in_proportion(labels, 7)) == 7
