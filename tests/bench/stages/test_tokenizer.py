import numpy as np
import pytest
import torch

from adatok_core.config import TokenizerConfig, TrainingConfig
from adatok_core.training import DivergedError, TokenizerTrainer
from bench.checkpoints import load_state, load_tensors
from bench.data.image_set import read_image_set
from bench.settings import parse
from bench.stages import tokenizer

PATH = "bank/tokenizer"


def changed(small_run, **training):
    return {"training": {**small_run.spec("elastic", PATH).config["training"], **training}}


def test_the_artifact_holds_the_averaged_weights_of_the_training(small_run):
    artifact, config = small_run.artifact("elastic", PATH), small_run.spec("elastic", PATH).config
    pixels = read_image_set(small_run.artifact("elastic", f"{PATH}/images")).pixels
    trainer = TokenizerTrainer(
        parse(TokenizerConfig, config["tokenizer"], where=""),
        parse(TrainingConfig, config["training"], where=""),
        image_size=32,
        count=len(pixels),
        load=lambda indices: torch.from_numpy(pixels[indices.numpy()]),
    )
    list(trainer.run())
    tensors, about = load_tensors(artifact / "tokenizer.safetensors")
    assert about == {"tokenizer": config["tokenizer"], "image_size": 32}
    averaged, last = trainer.ema.state_dict(), trainer.model.state_dict()
    assert all(torch.equal(tensors[name], averaged[name]) for name in averaged)
    assert any(not torch.equal(averaged[name], last[name]) for name in averaged)
    result = small_run.store.description("tokenizer", small_run.spec("elastic", PATH).key)["result"]
    assert result["history"] == trainer.history
    assert result["parameters"] == sum(p.numel() for p in trainer.model.parameters())
    assert result["images_seen"] == 40 * 8
    assert sorted(p.name for p in artifact.iterdir()) == ["stage.json", "tokenizer.safetensors"]


def test_an_interrupted_training_goes_on_to_the_identical_file(small_run, context):
    config = changed(small_run, checkpoint_every=15)
    interrupted = context("elastic", PATH, config=config, stop_at=30)
    with pytest.raises(KeyboardInterrupt):
        tokenizer.run(interrupted)
    assert interrupted.told == [10, 20, 30]
    assert load_state(interrupted.work / "checkpoint.safetensors").step == 30
    assert not (interrupted.work / "tokenizer.safetensors").exists()

    earlier = context("elastic", PATH, config=config, stop_at=20, work="earlier")
    with pytest.raises(KeyboardInterrupt):
        tokenizer.run(earlier)
    resumed = context("elastic", PATH, config=config, work="earlier")
    result = tokenizer.run(resumed)
    assert resumed.told == [20, 30, 40]  # from the checkpoint of step 15 on

    weights = small_run.artifact("elastic", PATH) / "tokenizer.safetensors"
    assert (resumed.work / "tokenizer.safetensors").read_bytes() == weights.read_bytes()
    described = small_run.store.description("tokenizer", small_run.spec("elastic", PATH).key)
    assert result == described["result"]
    assert [p.name for p in resumed.work.iterdir()] == ["tokenizer.safetensors"]


def test_a_checkpoint_of_another_shape_is_not_taken(small_run, context):
    config = small_run.spec("elastic", PATH).config["tokenizer"]
    with pytest.raises(KeyboardInterrupt):
        tokenizer.run(context("elastic", PATH, stop_at=20))
    with pytest.raises(RuntimeError, match="size mismatch"):
        tokenizer.run(context("elastic", PATH, config={"tokenizer": {**config, "width": 32}}))


def test_divergence_names_the_step(small_run, context):
    with pytest.raises(DivergedError, match="at step 2"):
        tokenizer.run(context("elastic", PATH, config=changed(small_run, learning_rate=1e30)))


def test_the_tokenizer_that_is_loaded_decodes_as_the_one_that_was_trained(small_run):
    loaded = tokenizer.load_tokenizer(small_run.artifact("elastic", PATH))
    assert not loaded.training
    assert loaded.config.budgets == (1, 2, 4)
    assert loaded.image_size == 32
    pixels = read_image_set(small_run.artifact("elastic", "bank/images")).pixels
    images = torch.from_numpy(np.array(pixels)).float() / 255
    with torch.inference_mode():
        ids, _ = loaded.encode(images)
        error = (loaded.decode(ids, torch.full((24,), 4)) - images).square().mean().item()
    assert error == pytest.approx(small_run.record("elastic")["metrics"]["mse"], rel=0.01)
