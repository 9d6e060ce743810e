"""Banks of tokenizers that are not encoded once for all budgets."""

import hashlib

import numpy as np
import pytest
import torch

from adatok_core.tokenizer import to_float, to_uint8
from bench.artifacts.bank import Bank
from bench.artifacts.decodings import TokenizerDecodings
from bench.artifacts.networks import load_tokenizer
from bench.data.image_set import read_image_set
from bench.stages import bank, tokenizer
from bench.stages.banks.spot_check import SPOT_CHECKS, spot_check
from bench.stages.banks.taken import TakenImages
from bench.store.checkpoints import load_tensors, save_tensors

BUDGETS = [1, 2, 4]
TARGETS = [0.1, 0.2]
ENCODINGS = {
    "told": {"encoding": "told", "tail": "zeros"},
    "recurrent": {"encoding": "recurrent", "rollouts": 4},
    "halting": {"encoding": "halting"},
}


def heed(weights):
    """Let a tokenizer that was hardly trained heed what it is told, and its decoder the tokens."""
    tensors, about = load_tensors(weights)
    torch.manual_seed(0)
    tensors["encoder.told"] += torch.randn(2, 16)
    tensors["decoder.embed.weight"] *= 8
    save_tensors(weights, tensors, about=about)


@pytest.fixture
def built(small_run, context):
    """`built(encoding, **settings)`: a tokenizer's artifact and the stage of its bank."""

    def built(encoding, **settings):
        spec = small_run.spec("elastic", "bank/tokenizer")
        config = {"tokenizer": {**spec.config["tokenizer"], **ENCODINGS[encoding]}}
        trained = context("elastic", "bank/tokenizer", config=config, work=encoding)
        tokenizer.run(trained)
        if encoding == "told":
            heed(trained.work / "tokenizer.safetensors")
        stage = context(
            "elastic", "bank", config=settings, inputs={"tokenizer": trained.work}, work="bank"
        )
        bank.run(stage)
        return trained.work, stage

    return built


def images_of(stage):
    return torch.from_numpy(np.array(read_image_set(stage.inputs["images"]).pixels))


def errors(decoded, original):
    return (to_uint8(decoded).double() - original).square().mean((1, 2, 3)).numpy() / 255**2


@pytest.mark.parametrize("encoding", ["told", "recurrent"])
def test_tokens_that_are_not_nested_are_encoded_for_each_budget(built, encoding):
    artifact, stage = built(encoding)
    made, model, original = Bank.read(stage.work), load_tokenizer(artifact), images_of(stage)
    assert made.about["nested"] is False
    with torch.inference_mode():
        full = model.encode(to_float(original))[0]
        np.testing.assert_array_equal(made.array("ids"), full)
        for column, budget in enumerate(BUDGETS):
            kept = torch.full((len(original),), budget)
            ids, _ = model.encode(to_float(original), budget)
            expected = errors(model.decode(ids, kept), original)
            np.testing.assert_allclose(made.array("mse")[:, column], expected, rtol=1e-3)
            if budget < 4:
                prefix = errors(model.decode(full, kept), original)
                assert not np.allclose(expected, prefix, rtol=1e-3)


@pytest.mark.parametrize("encoding", ["told", "recurrent"])
def test_the_spot_check_encodes_again_at_the_budget(built, encoding):
    artifact, stage = built(encoding)
    model = TokenizerDecodings(load_tokenizer(artifact))
    images = TakenImages.of(read_image_set(stage.inputs["images"]), {})
    made = Bank.read(stage.work)
    stored = np.array(made.array("mse"))

    def check(mse):
        ids = made.array("ids")
        spot_check(model, BUDGETS, images, stored=mse, stored_ids=ids, device="cpu")

    # A token may move at a rounding boundary, and its image's error with it; many may not.
    sampled = np.random.default_rng(24).integers(24, size=SPOT_CHECKS)
    once = np.flatnonzero(np.bincount(sampled) == 1)[0]
    check(np.where(np.arange(24)[:, None] == once, 2, 1) * stored)
    with pytest.raises(RuntimeError, match="decodes to an MSE of"):
        check(1.01 * stored)


def test_a_halting_tokenizer_chooses_lengths_of_its_own(built):
    artifact, stage = built("halting", own_targets=TARGETS)
    made, model, original = Bank.read(stage.work), load_tokenizer(artifact), images_of(stage)
    assert made.about["nested"] is True
    assert made.about["own_targets"] == TARGETS
    own = {"own_tokens", "own_mse", "own_psnr", "own_perceptual", "own_lite0"}
    assert own <= set(made.about["arrays"])
    assert made.array("own_tokens").shape == made.array("own_perceptual").shape == (24, 2)
    assert made.array("own_lite0").shape == (24, 2, 1280)
    with torch.inference_mode():
        for column, target in enumerate(TARGETS):
            ids, kept = model.own_allocation(to_float(original), target)
            np.testing.assert_array_equal(made.array("own_tokens")[:, column], kept)
            expected = errors(model.decode(ids, kept), original)
            np.testing.assert_allclose(made.array("own_mse")[:, column], expected, rtol=1e-3)
            np.testing.assert_allclose(
                made.array("own_psnr")[:, column], -10 * np.log10(expected), rtol=1e-3
            )


def test_without_targets_there_is_nothing_of_its_own(small_run):
    about = Bank.read(small_run.artifact("elastic", "bank")).about
    assert about["own_targets"] is None
    assert about["nested"] is True
    assert not any(name.startswith("own_") for name in about["arrays"])


def test_a_bank_knows_the_weights_it_was_made_with(small_run):
    made = Bank.read(small_run.artifact("elastic", "bank"))
    artifact = small_run.artifact("elastic", "bank/tokenizer")
    weights = (artifact / "tokenizer.safetensors").read_bytes()
    assert made.about["tokenizer_sha256"] == hashlib.sha256(weights).hexdigest()
    made.require_tokenizer(artifact)
