import numpy as np
import pytest
import torch

from adatok_core.config import GeneratorConfig, GeneratorTraining
from adatok_core.generator.training import GeneratorTrainer
from bench.artifacts import networks
from bench.artifacts.bank import Bank
from bench.config.settings import parse
from bench.errors import UserError
from bench.stages import generator
from bench.stages.token_sets import Lengths, read_token_set, vocabulary_of
from bench.store.checkpoints import load_state, load_tensors
from bench.store.curve import FILE as CURVE
from bench.store.curve import CurveReader

PATH = "generator"


def test_the_artifact_holds_the_averaged_weights_of_the_training(generation_run):
    spec, artifact = (
        generation_run.spec("adaptive", PATH),
        generation_run.artifact("adaptive", PATH),
    )
    lengths = Lengths(
        None,
        generation_run.artifact("adaptive", "tokenizer"),
        generation_run.artifact("adaptive", "policy"),
    )
    bank = Bank.read(generation_run.artifact("adaptive", f"{PATH}/training"))
    images = read_token_set(bank, lengths, classes="objects")
    vocabulary = vocabulary_of(lengths, kind="end_token", classes=10)
    trainer = GeneratorTrainer(
        parse(GeneratorConfig, spec.config["generator"], where=""),
        parse(GeneratorTraining, spec.config["training"], where=""),
        vocabulary=vocabulary,
        ids=torch.from_numpy(np.array(images.ids)),
        lengths=torch.from_numpy(images.lengths),
        labels=torch.from_numpy(images.labels),
    )
    list(trainer.run())
    tensors, about = load_tensors(artifact / "generator.safetensors")
    assert all(torch.equal(tensors[k], v) for k, v in trainer.ema.state_dict().items())
    assert (about["codes"], about["budgets"], about["classes"]) == (25, [1, 2, 4], 10)
    result = generation_run.store.description(PATH, spec.key)["result"]
    assert [row["loss"] for row in result["history"]] == [row["loss"] for row in trainer.history]
    assert result["parameters"] == sum(p.numel() for p in trainer.model.parameters())
    assert result["sequences_seen"] == 30 * 8
    # The validation images fit into the watched ones: the last row has what is found at the end.
    last = result["history"][-1]["held_out_nats_per_token"]
    assert last == pytest.approx(result["held_out"]["nats_per_token"])


def test_an_interrupted_training_goes_on_to_the_identical_file(generation_run, context):
    spec = generation_run.spec("adaptive", PATH)
    config = {"training": {**spec.config["training"], "checkpoint_every": 15}}
    first = context("adaptive", PATH, of=generation_run, config=config, stop_at=20)
    with pytest.raises(KeyboardInterrupt):
        generator.run(first)
    assert load_state(first.work).step == 15
    rows = CurveReader(first.work).rows()
    assert [row["step"] for row in rows] == [10, 20]
    assert all("held_out_nats_per_token" in row for row in rows)
    assert not (first.work / "generator.safetensors").exists()

    again = context("adaptive", PATH, of=generation_run, config=config)
    result = generator.run(again)
    assert again.told == [20, 30]  # from the checkpoint of step 15 on
    weights = generation_run.artifact("adaptive", PATH) / "generator.safetensors"
    assert (again.work / "generator.safetensors").read_bytes() == weights.read_bytes()
    assert result == generation_run.store.description(PATH, spec.key)["result"]
    assert {p.name for p in again.work.iterdir()} == {"generator.safetensors", CURVE}


def test_a_trained_generator_comes_back_with_its_vocabulary(generation_run):
    trained = networks.load_generator(generation_run.artifact("adaptive", PATH))
    assert (trained.budget, trained.conditional, trained.class_kind) == (None, True, "objects")
    assert trained.vocabulary.lengths == "end_token"
    assert set(trained.known_classes) <= set(range(10))
    assert not trained.generator.training
    fixed = networks.load_generator(generation_run.artifact("fixed", PATH))
    assert (fixed.budget, fixed.vocabulary.size) == (2, 25)
    tensors, _ = load_tensors(generation_run.artifact("fixed", PATH) / "generator.safetensors")
    assert all(torch.equal(tensors[k], v) for k, v in fixed.generator.state_dict().items())


def test_a_batch_of_more_images_than_there_are_is_refused(generation_run, context):
    spec = generation_run.spec("fixed", PATH)
    config = {"training": {**spec.config["training"], "batch": 121}}
    with pytest.raises(UserError, match=r"generation\.training\.batch: 121 exceeds the bank's 120"):
        generator.run(context("fixed", PATH, of=generation_run, config=config))


def test_untrained_weights_depend_on_the_seed(generation_run):
    trained = networks.load_generator(generation_run.artifact("fixed", PATH))
    config = trained.generator.config
    one, same, other = (
        networks.build_generator(config, trained.vocabulary, seed=seed).logits.weight
        for seed in (0, 0, 1)
    )
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
