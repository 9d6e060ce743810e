import copy
import math

import pytest
import torch

from adatok_core.batches import batch_indices
from adatok_core.config import Sampling
from adatok_core.generator.reference import decode_reference
from adatok_core.schedule import learning_rate
from adatok_core.training_state import DivergedError

LAYOUTS = ("fixed", "end_token", "length_token")
UNCONDITIONAL = {"class_conditional": False, "class_dropout": 0.0}
# Images of a class are all alike, and differ between the classes in their length too.
PATTERNS = torch.tensor([[4, 0, 0, 0, 0, 0], [7, 7, 2, 0, 0, 0], [4, 9, 9, 10, 4, 9]])
KEPT = torch.tensor([1, 3, 6])


def run_to(trainer, step):
    for done in trainer.run():
        if done == step:
            return trainer
    raise AssertionError("the run ended before the step")


def finished(trainer):
    return run_to(trainer, trainer.config.steps)


def assert_same_state(a, b):
    assert (a.step, a.history) == (b.step, b.history)
    assert a.tensors.keys() == b.tensors.keys()
    for name, tensor in a.tensors.items():
        assert torch.equal(tensor, b.tensors[name]), name


def weights(trainer):
    return {name: p.detach().clone() for name, p in trainer.model.named_parameters()}


def differs(a, b):
    """Whether two trainers ended with different weights, by more than rounding."""
    a, b = weights(a), weights(b)
    shapes = [{name: p.shape for name, p in each.items()} for each in (a, b)]
    return shapes[0] != shapes[1] or max((a[n] - b[n]).abs().max().item() for n in a) > 1e-5


@pytest.mark.parametrize("lengths", LAYOUTS)
def test_what_images_of_a_class_have_in_common_is_learned_and_produced(trainer_of, lengths):
    labels = torch.arange(3)
    kept = torch.full((3,), 6) if lengths == "fixed" else KEPT
    trainer = trainer_of(
        lengths,
        data={"ids": PATTERNS, "lengths": kept, "labels": labels},
        steps=150,
        warmup_steps=10,
        ema_decay=0.9,
        class_dropout=0.2,
    )
    finished(trainer)
    measured = trainer.evaluate(PATTERNS, kept, labels)
    assert 0 < measured.nats_per_image < 0.2
    for label in range(3):
        produced = decode_reference(
            trainer.ema,
            trainer.vocabulary,
            label=label,
            seed=0,
            length=None,
            sampling=Sampling(temperature=0.0),
        )
        assert produced.ids.tolist() == PATTERNS[label, : kept[label]].tolist()
        assert not produced.unended


@pytest.mark.parametrize("lengths", LAYOUTS)
def test_the_loss_is_the_mean_surprise_of_a_batch_s_tokens(trainer_of, lengths):
    trainer = trainer_of(lengths, class_dropout=0.0, log_every=1)
    model, vocabulary = copy.deepcopy(trainer.model), trainer.vocabulary
    surprises = []
    for image in batch_indices(0, count=20, batch=8, seed=0):
        tokens, _ = vocabulary.sequences(trainer.ids[image, None], trainer.lengths[image, None])
        with torch.no_grad():
            logits = model(trainer.labels[image, None], tokens[:, :-1])[0]
        for step, token in enumerate(tokens[0]):
            allowed = vocabulary.allowed(torch.tensor([step]))[0]
            surprises.append(-logits[step].where(allowed, -torch.inf).log_softmax(0)[token])
    run_to(trainer, 1)
    assert trainer.history[0]["loss"] == pytest.approx(torch.stack(surprises).mean().item())
    expected = trainer.lengths[batch_indices(0, count=20, batch=8, seed=0)].sum()
    assert len(surprises) == expected + 8 * (lengths != "fixed")


def test_what_is_behind_the_length_is_not_seen(trainer_of):
    plain = trainer_of()
    ids = plain.ids.clone()
    ids[torch.arange(6) >= plain.lengths[:, None]] = 10
    assert not torch.equal(ids, plain.ids)
    other = trainer_of(data={"ids": ids})
    assert_same_state(finished(plain).state(), finished(other).state())


@pytest.mark.parametrize("share", [0.0, 0.3])
def test_classes_are_dropped_at_their_share(trainer_of, share):
    trainer = trainer_of(class_dropout=share, steps=100, batch=20)
    seen = []
    trainer.model.register_forward_pre_hook(lambda model, args: seen.append(args[0]))
    finished(trainer)
    dropped = 0
    for step, classes in enumerate(seen):
        labels = trainer.labels[batch_indices(step, count=20, batch=20, seed=0)]
        dropped += (classes == 3).sum().item()
        assert torch.equal(classes[classes != 3], labels[classes != 3])
    assert abs(dropped / 2000 - share) <= 3.5 * (share * (1 - share) / 2000) ** 0.5
    assert len({tuple((classes == 3).tolist()) for classes in seen}) > 50 * (share > 0)


def test_without_dropout_the_null_class_learns_nothing(trainer_of):
    for share, moved in ((0.0, False), (0.5, True)):
        trainer = trainer_of(class_dropout=share)
        before = trainer.model.entries.weight[-1].clone()
        assert torch.equal(finished(trainer).model.entries.weight[-1], before) != moved


@pytest.mark.parametrize(
    ("lengths", "options"),
    [
        ("fixed", {"precision": "bf16"}),
        ("end_token", {"norm": "layer", "positions": "learned"}),
        ("length_token", {"class_dropout": 0.5}),
        ("end_token", UNCONDITIONAL),
    ],
)
def test_stop_and_resume_equals_an_uninterrupted_run(trainer_of, lengths, options):
    options = options | {"log_every": 1}
    whole = finished(trainer_of(lengths, **options))
    saved = run_to(trainer_of(lengths, **options), 3).state()
    resumed = trainer_of(lengths, **options)
    torch.manual_seed(99)  # where the resuming process happens to be
    resumed.load_state(saved)
    assert_same_state(resumed.state(), saved)
    assert [*resumed.run()] == [4, 5, 6]
    assert_same_state(resumed.state(), whole.state())
    assert {name.split(".")[0] for name in saved.tensors} == {"model", "ema", "optimizer"}
    assert [*resumed.run()] == []


def test_a_state_is_a_snapshot(trainer_of):
    trainer = run_to(trainer_of(log_every=1), 2)
    saved = trainer.state()
    copies = {name: tensor.clone() for name, tensor in saved.tensors.items()}
    finished(trainer)
    assert (saved.step, len(saved.history)) == (2, 2)
    assert all(torch.equal(tensor, copies[name]) for name, tensor in saved.tensors.items())


def test_a_state_of_another_shape_is_refused(trainer_of):
    saved = run_to(trainer_of(), 1).state()
    with pytest.raises(RuntimeError):
        trainer_of(width=32).load_state(saved)


@pytest.mark.parametrize(
    "options",
    [
        {"width": 32},
        {"depth": 2},
        {"attention_heads": 4},
        {"hidden": 32},
        {"norm": "layer"},
        {"positions": "learned"},
        UNCONDITIONAL,
        {"class_dropout": 0.5},
        {"steps": 7},
        {"batch": 4},
        {"learning_rate": 2e-2},
        {"warmup_steps": 4},
        {"weight_decay": 1.0},
        {"gradient_clip": 1e-9},
        {"precision": "bf16"},
        {"seed": 1},
    ],
    ids=str,
)
def test_every_option_changes_the_training(trainer_of, options):
    assert differs(finished(trainer_of(**options)), finished(trainer_of()))


@pytest.mark.parametrize("lengths", ["fixed", "length_token"])
def test_the_layout_changes_the_training(trainer_of, lengths):
    data = {"lengths": torch.full((20,), 6)}
    other = trainer_of(lengths, data=data)
    assert differs(finished(other), finished(trainer_of(data=data)))


def test_only_matrices_of_linear_layers_decay(trainer_of):
    heavy, light = (run_to(trainer_of(weight_decay=decay), 1) for decay in (9.0, 0.0))
    rate = learning_rate(0, heavy.config)
    for name, before in weights(trainer_of()).items():
        matrix = "norm" not in name and "entries" not in name
        expected = 9.0 * rate * before if matrix else torch.zeros_like(before)
        difference = weights(light)[name] - weights(heavy)[name]
        torch.testing.assert_close(difference, expected, atol=1e-5, rtol=1e-3)


def test_the_average_is_what_is_evaluated(trainer_of):
    slow = finished(trainer_of(ema_decay=0.9, learning_rate=5e-2, steps=20))
    fast = finished(trainer_of(ema_decay=0.0, learning_rate=5e-2, steps=20))
    assert not differs(slow, fast)
    images = (slow.ids, slow.lengths, slow.labels)
    assert slow.evaluate(*images) != fast.evaluate(*images)
    pairs = zip(fast.ema.parameters(), fast.model.parameters(), strict=True)
    assert all(torch.equal(average, own) for average, own in pairs)


def test_the_history_has_a_row_of_every_so_many_steps_and_the_last(trainer_of):
    trainer = finished(trainer_of(log_every=4))
    assert [row["step"] for row in trainer.history] == [4, 6]
    assert trainer.history[-1]["learning_rate"] == learning_rate(5, trainer.config)
    assert all(row["gradient_norm"] > 0 for row in trainer.history)


def test_small_batches_and_many_epochs(trainer_of):
    assert finished(trainer_of(batch=64)).step == 6  # more than there are images
    assert finished(trainer_of(batch=1)).step == 6


def test_a_loss_that_is_not_finite_is_an_error_with_its_step(trainer_of):
    with pytest.raises(DivergedError, match="at step 2"):
        finished(trainer_of(learning_rate=1e30, warmup_steps=0))


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        ({"ids": torch.full((20, 6), 11)}, "ids: "),
        ({"lengths": torch.full((20,), 7)}, "lengths: "),
        ({"lengths": torch.full((19,), 6)}, "lengths: 19 of them for 20 images"),
        ({"labels": None}, "labels: 20 images need one each"),
        ({"labels": torch.full((20,), 3)}, "labels: must lie in"),
    ],
)
def test_images_that_do_not_fit_are_refused(trainer_of, data, complaint):
    with pytest.raises(ValueError, match=f"^{complaint}"):
        trainer_of(data=data)


def test_a_vocabulary_of_another_layout_is_refused(trainer_of):
    trainer = trainer_of("fixed")
    with pytest.raises(ValueError, match=r"^lengths: end_token, but the vocabulary's fixed$"):
        trainer_of("end_token", data={"vocabulary": trainer.vocabulary})


def test_training_lowers_the_loss_of_images_that_differ(trainer_of):
    trainer = finished(trainer_of(steps=60, log_every=1))
    losses = [row["loss"] for row in trainer.history]
    assert sum(losses[-10:]) < 0.8 * sum(losses[:10])
    assert losses[0] == pytest.approx(math.log(11), abs=0.2)
