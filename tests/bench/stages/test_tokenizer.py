import itertools

import numpy as np
import pytest
import torch

from adatok_core.config import TokenizerConfig, TrainingConfig
from adatok_core.ignition import ignition, mean_colour_loss
from adatok_core.lora import is_adapter
from adatok_core.training import TokenizerTrainer
from adatok_core.training_state import DivergedError
from bench.artifacts import networks
from bench.config.settings import parse
from bench.data.image_set import read_image_set
from bench.errors import UserError
from bench.metrics.weight_files import weights_to_runtime
from bench.stages import tokenizer
from bench.store.checkpoints import CHECKPOINT, load_state, load_tensors
from bench.store.curve import FILE as CURVE
from bench.store.curve import CurveReader

PATH = "bank/tokenizer"


def changed(run, **training):
    """Changes of the training of the run's first cell."""
    first = run.suite.cells[0].label
    return {"training": {**run.spec(first, PATH).config["training"], **training}}


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
    assert about == {
        "tokenizer": config["tokenizer"],
        "image_size": 32,
        "trained_lengths": [1, 2, 4],
    }
    averaged, last = trainer.ema.state_dict(), trainer.model.state_dict()
    assert all(torch.equal(tensors[name], averaged[name]) for name in averaged)
    assert any(not torch.equal(averaged[name], last[name]) for name in averaged)
    result = small_run.store.description("tokenizer", small_run.spec("elastic", PATH).key)["result"]
    assert result["history"] == trainer.history
    assert result["parameters"] == sum(p.numel() for p in trainer.model.parameters())
    assert result["images_seen"] == result["decoder_passes"] == 40 * 8
    passes = trainer.passes()
    assert (passes.images, passes.tokens) == (result["decoder_passes"], result["token_passes"])
    images = torch.from_numpy(np.array(pixels))
    judged = ignition(trainer.history, mean_colour=mean_colour_loss(images, kind="l2"))
    assert (result["ignition"], result["explained"]) == (judged.verdict, judged.explained)
    (training,) = [s for s in small_run.record("elastic").stages if s.stage == "tokenizer"]
    for name in ("images_seen", "decoder_passes", "token_passes", "ignition"):
        assert getattr(training, name) == result[name]
    assert sorted(p.name for p in artifact.iterdir()) == ["stage.json", "tokenizer.safetensors"]


def test_an_interrupted_training_goes_on_to_the_identical_file(small_run, context):
    config = changed(small_run, checkpoint_every=15)
    interrupted = context("elastic", PATH, config=config, stop_at=30)
    with pytest.raises(KeyboardInterrupt):
        tokenizer.run(interrupted)
    assert interrupted.told == [10, 20, 30]
    shown = CurveReader(interrupted.work).rows()  # To whoever watched.
    assert (
        shown
        == small_run.store.description("tokenizer", small_run.spec("elastic", PATH).key)["result"][
            "history"
        ][:3]
    )
    assert load_state(interrupted.work).step == 30
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
    assert {p.name for p in resumed.work.iterdir()} == {"tokenizer.safetensors", CURVE}


@pytest.mark.parametrize("torn", [lambda content: content[:-50], lambda content: b""])
def test_a_torn_checkpoint_is_passed_over_for_the_one_before(small_run, context, torn):
    config = changed(small_run, checkpoint_every=10)
    interrupted = context("elastic", PATH, config=config, stop_at=30)
    with pytest.raises(KeyboardInterrupt):
        tokenizer.run(interrupted)
    newest = interrupted.work / CHECKPOINT
    newest.write_bytes(torn(newest.read_bytes()))
    resumed = context("elastic", PATH, config=config)
    tokenizer.run(resumed)
    assert resumed.told == [30, 40]  # from the checkpoint of step 20 on
    weights = small_run.artifact("elastic", PATH) / "tokenizer.safetensors"
    assert (resumed.work / "tokenizer.safetensors").read_bytes() == weights.read_bytes()
    assert {p.name for p in resumed.work.iterdir()} == {"tokenizer.safetensors", CURVE}


def test_a_checkpoint_of_another_shape_is_not_taken(small_run, context):
    config = small_run.spec("elastic", PATH).config["tokenizer"]
    with pytest.raises(KeyboardInterrupt):
        tokenizer.run(context("elastic", PATH, stop_at=20))
    with pytest.raises(RuntimeError, match="size mismatch"):
        tokenizer.run(context("elastic", PATH, config={"tokenizer": {**config, "width": 32}}))


def test_divergence_names_the_step(small_run, context):
    with pytest.raises(DivergedError, match="at step 2"):
        tokenizer.run(context("elastic", PATH, config=changed(small_run, learning_rate=1e30)))


def test_a_batch_of_more_images_than_there_are_is_refused(small_run, context):
    tokenizer.run(context("elastic", PATH, config=changed(small_run, steps=6, batch=48)))
    with pytest.raises(UserError, match=r"training\.batch: 49 exceeds the 48 training images"):
        tokenizer.run(context("elastic", PATH, config=changed(small_run, steps=6, batch=49)))


def test_the_tokenizer_that_is_loaded_decodes_as_the_one_that_was_trained(small_run):
    loaded = networks.load_tokenizer(small_run.artifact("elastic", PATH))
    assert not loaded.training
    assert loaded.config.budgets == (1, 2, 4)
    assert loaded.image_size == 32
    pixels = read_image_set(small_run.artifact("elastic", "bank/images")).pixels
    images = torch.from_numpy(np.array(pixels)).float() / 255
    with torch.inference_mode():
        ids, _ = loaded.encode(images)
        error = (loaded.decode(ids, torch.full((24,), 4)) - images).square().mean().item()
    assert error == pytest.approx(small_run.record("elastic").metrics.value("mse"), rel=0.01)


HEADS = ("heads", PATH)


def tensors_of(folder):
    return load_tensors(folder / "tokenizer.safetensors")[0]


def is_head(name):
    return name.startswith("decoder.") and is_adapter(name)


def test_finetuned_heads_leave_all_else_as_it_was(method_run):
    start = tensors_of(method_run.artifact("plain", PATH))
    tuned = tensors_of(method_run.artifact(*HEADS))
    assert {name for name in tuned if name not in start} == set(filter(is_head, tuned))
    assert all(torch.equal(tuned[name], start[name]) for name in start)
    heads = [tensor for name, tensor in tuned.items() if is_head(name)]
    assert heads
    assert any(tensor.abs().max() > 0 for tensor in heads)
    mse = [method_run.record(label).metrics.value("mse") for label in ("plain", "heads")]
    assert mse[0] != mse[1]


def test_a_finetuned_decoder_keeps_encoder_and_quantizer_to_the_bit(method_run, context):
    config = {**changed(method_run, steps=6), "trainable": "decoder"}
    stage = context(*HEADS, of=method_run, config=config)
    tokenizer.run(stage)
    start = tensors_of(method_run.artifact("plain", PATH))
    tuned = tensors_of(stage.work)
    moved = {name for name in start if not torch.equal(tuned[name], start[name])}
    assert moved
    assert all(name.startswith("decoder.") for name in moved)
    assert any(not is_adapter(name) for name in moved)


@pytest.mark.parametrize(
    ("label", "settings"),
    [("plain", {}), ("heads", {"trainable": "heads"}), ("heads", {"trainable": "decoder"})],
    ids=["training", "heads", "decoder"],
)
def test_an_adversarial_training_goes_on_to_the_identical_file(
    method_run, context, label, settings
):
    changes = {"steps": 20, "adversarial": {"weight": 0.2, "start_step": 3, "width": 4}}
    config = {**changed(method_run, **changes), **settings}

    def stage(**where):
        return context(label, PATH, of=method_run, config=config, **where)

    whole = stage(work="whole")
    result = tokenizer.run(whole)
    assert result["history"][-1]["adversarial_loss"] != 0
    assert result["history"][-1]["discriminator_loss"] > 0
    with pytest.raises(KeyboardInterrupt):
        tokenizer.run(stage(stop_at=10))
    resumed = stage()
    assert (resumed.work / "checkpoint.safetensors").exists()
    assert tokenizer.run(resumed) == result
    assert resumed.told == [20]
    name = "tokenizer.safetensors"
    assert (resumed.work / name).read_bytes() == (whole.work / name).read_bytes()


def test_the_perceptual_loss_is_measured_by_the_network_asked_for(small_run, context, lpips_files):
    def trained(work, **training):
        stage = context(
            "elastic",
            PATH,
            config=changed(small_run, steps=2, warmup_steps=1, log_every=1, batch=8, **training),
            runtime=weights_to_runtime(lpips_files),
            work=work,
        )
        return tokenizer.run(stage)["history"], tensors_of(stage.work)

    plain, lite0 = trained("plain"), trained("lite0", perceptual=0.5)
    lpips = trained("lpips", perceptual=0.5, perceptual_network="lpips")
    assert "perceptual_loss" not in plain[0][0]
    assert lite0[0][0]["perceptual_loss"] > 0
    assert lpips[0][0]["perceptual_loss"] != lite0[0][0]["perceptual_loss"]
    weights = [one for _, one in (plain, lite0, lpips)]
    for one, other in itertools.combinations(weights, 2):
        assert any(not torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize(
    ("lengths", "expected"),
    [
        ({"distribution": "all"}, {1, 2, 3, 4}),
        ({"distribution": "candidates"}, {1, 2, 4}),
        ({"full_share": 1.0}, {4}),
        ({"distribution": "powers_of_two", "decodes": "sandwich"}, {1, 2, 4}),
    ],
)
def test_the_artifact_says_which_lengths_were_drawn(small_run, context, lengths, expected):
    stage = context("elastic", PATH, config=changed(small_run, steps=6, lengths=lengths))
    tokenizer.run(stage)
    assert networks.read_trained_lengths(stage.work) == expected
