from dataclasses import replace

import pytest
import tiny_training
import torch
from tiny_training import ended, random_images, weights

from adatok_core.config import FSQ, VQ, Adversarial, LoRA, TrainingConfig
from adatok_core.lora import is_adapter
from adatok_core.schedule import learning_rate

IMAGES = random_images(16, 8)
QUANTIZER = VQ(codebook_size=32, dimension=4, usage_decay=0.5, revive_below=0.6)
PLAIN = replace(tiny_training.PLAIN, budgets=(1, 4), quantizer=QUANTIZER)
HEADS = replace(PLAIN, lora=LoRA(rank=2))
TRAINING = TrainingConfig(
    steps=4, batch=8, warmup_steps=1, log_every=1, learning_rate=1e-2, weight_decay=0.1, seed=3
)


def trainer_of(tokenizer, *, start=None, trainable="all", load=None, **options):
    given = {"images": IMAGES, "load": load, "start": start, "trainable": trainable}
    return tiny_training.trainer_of(tokenizer, replace(TRAINING, **options), **given)


@pytest.fixture(scope="module")
def start():
    """The averaged weights of a trained tokenizer without adapters."""
    trainer = ended(trainer_of(PLAIN, seed=0))
    return {name: value.clone() for name, value in trainer.ema.state_dict().items()}


def changed(model, start):
    """Names of the model's entries that are not `start`'s, to the bit."""
    return {n for n, v in model.state_dict().items() if n in start and not torch.equal(v, start[n])}


def test_training_goes_on_from_the_start_without_calibration(start):
    loaded = []
    trainer = trainer_of(HEADS, start=start, load=loaded.append)
    assert loaded == []
    assert changed(trainer.model, start) == changed(trainer.ema, start) == set()
    # Adapters that the start lacks add nothing yet, and come from the seed.
    own = trainer_of(HEADS).model.decoder.pixels
    assert torch.equal(trainer.model.decoder.pixels.down, own.down)
    images, kept = IMAGES[:4] / 255, torch.tensor([1, 2, 4, 4])
    before = trainer_of(PLAIN, start=start).model
    with torch.no_grad():
        a, b = (model.eval()(images, kept).images for model in (trainer.model, before))
    torch.testing.assert_close(a, b, atol=1e-6, rtol=0)


def test_adapters_of_the_start_are_kept(start):
    trained = ended(trainer_of(HEADS)).ema.state_dict()
    assert trained["decoder.pixels.up"].abs().sum() > 0
    assert changed(trainer_of(HEADS, start=trained).model, trained) == set()


@pytest.mark.parametrize(
    ("trainable", "tokenizer"),
    [("all", HEADS), ("decoder", HEADS), ("decoder", PLAIN), ("heads", HEADS)],
)
def test_only_what_is_trainable_changes(start, trainable, tokenizer):
    initial = trainer_of(tokenizer, start=start).state().tensors
    trainer = ended(trainer_of(tokenizer, start=start, trainable=trainable))
    tensors = trainer.state().tensors
    for name in tensors:
        part, _, key = name.partition(".")
        if part == "optimizer":
            continue
        learns = {"all": True, "decoder": key.startswith("decoder."), "heads": is_adapter(key)}[
            trainable
        ]
        assert learns != torch.equal(tensors[name], initial[name]), name
    assert trainer.model.encoder.training == (trainable == "all")
    assert trainer.model.quantizer.training == (trainable == "all")
    assert trainer.model.decoder.training
    trained = sum(p.requires_grad for p in trainer.model.parameters())
    groups = trainer.optimizers["optimizer"].param_groups
    assert sum(len(group["params"]) for group in groups) == trained


def test_a_frozen_decoder_s_heads_lower_the_loss(start):
    trainer = ended(trainer_of(HEADS, start=start, trainable="heads", steps=60, learning_rate=3e-3))
    losses = [row["pixel_loss"] for row in trainer.history]
    assert sum(losses[-10:]) < 0.97 * sum(losses[:10])


@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize("trainable", ["all", "decoder", "heads"])
@pytest.mark.parametrize("adversarial", [None, Adversarial(width=4, start_step=1)])
def test_fine_tuning_resumes_bit_for_bit(start, trainable, accumulate, adversarial):
    def fresh():
        return trainer_of(
            HEADS, start=start, trainable=trainable, accumulate=accumulate, adversarial=adversarial
        )

    whole = ended(fresh()).state()
    stopped = fresh()
    assert next(step for step in stopped.run() if step == 2)
    resumed = fresh()
    resumed.load_state(stopped.state())
    resumed = ended(resumed).state()
    assert (resumed.step, resumed.history) == (whole.step, whole.history)
    assert resumed.tensors.keys() == whole.tensors.keys()
    assert all(torch.equal(value, whole.tensors[n]) for n, value in resumed.tensors.items())


def test_a_start_that_lacks_more_than_adapters_is_refused(start):
    lacking = {name: v for name, v in start.items() if name != "decoder.queries"}
    with pytest.raises(ValueError, match=r"^start: .*lacks decoder\.queries;[^\n]*$"):
        trainer_of(HEADS, start=lacking)


def test_a_start_with_more_than_the_tokenizer_is_refused(start):
    adapted = trainer_of(HEADS).model.state_dict()
    with pytest.raises(ValueError, match=r"^start: .*unknown decoder\..* and \d+ more;[^\n]*$"):
        trainer_of(PLAIN, start=adapted)


def test_a_start_of_another_shape_is_refused(start):
    wider = replace(PLAIN, budgets=(1, 8))
    with pytest.raises(ValueError, match=r"^start: .*another shape of [^\n]*$"):
        trainer_of(wider, start=start)


def test_heads_need_adapters(start):
    with pytest.raises(ValueError, match="no adapters"):
        trainer_of(PLAIN, start=start, trainable="heads")


@pytest.mark.parametrize("trainable", ["decoder", "heads"])
def test_parts_are_frozen_only_when_they_were_trained(trainable):
    with pytest.raises(ValueError, match=f"{trainable} needs the start"):
        trainer_of(HEADS, trainable=trainable)


def after_one_step(tokenizer, **options):
    trainer = trainer_of(tokenizer, **options)
    next(trainer.run())
    return weights(trainer)


@pytest.mark.parametrize("quantizer", [FSQ(levels=(5, 3)), PLAIN.quantizer], ids=["fsq", "vq"])
def test_weight_decay_shrinks_linear_maps_alone(quantizer):
    # Of the parameters, those of linear maps are called so: weights but for the norms', adapters.
    tokenizer = replace(HEADS, quantizer=quantizer, tail="null_vectors")
    start = weights(trainer_of(tokenizer))
    plain = after_one_step(tokenizer, weight_decay=0.0)
    decayed = after_one_step(tokenizer, weight_decay=0.5)
    rate = learning_rate(0, TRAINING)
    spared = set()
    for name, before in start.items():
        decays = name.endswith((".weight", ".down", ".up")) and "norm" not in name
        shrunk = rate * 0.5 * before if decays else torch.zeros_like(before)
        torch.testing.assert_close(plain[name] - decayed[name], shrunk, atol=1e-6, rtol=1e-4)
        if not decays and before.ndim >= 2:
            spared.add(name)
    expected = {
        "encoder.patch_positions",
        "encoder.queries",
        "quantizer.project.bias",
        "decoder.token_positions",
        "decoder.queries",
        "decoder.absent",
    }
    assert spared - {"quantizer.codebook"} == expected
