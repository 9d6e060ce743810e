from dataclasses import replace

import pytest
import torch
from tiny_training import (
    IMAGES,
    TOKENIZER,
    assert_same_but_for_rounding,
    assert_same_state,
    differs,
    plainly_trained,
    run_to,
    trained,
)
from tiny_training import varied as trainer_of

from adatok_core.batches import batch_indices, step_generator
from adatok_core.config import Distillation, LengthSampling
from adatok_core.lengths import sample_lengths
from adatok_core.tokenizer import to_float

COUNT = len(IMAGES)
CHOSEN = torch.arange(COUNT) % 3 + 1
PAIRS = LengthSampling(decodes="pairs")
POLICY = LengthSampling(distribution="policy")
DISTILLED = {of: replace(PAIRS, distillation=Distillation(of=of)) for of in ("images", "features")}
# Lengths, and those that they would be were the option in question ignored.
LENGTHS = {
    "policy": (POLICY, LengthSampling()),
    "share": (replace(POLICY, share=0.4), POLICY),
    "rest": (replace(POLICY, rest="all"), POLICY),
    "pairs": (PAIRS, LengthSampling()),
    "sandwich": (LengthSampling(decodes="sandwich"), PAIRS),
    "drawn": (LengthSampling(decodes="sandwich", drawn=2), LengthSampling(decodes="sandwich")),
    "images": (DISTILLED["images"], PAIRS),
    "features": (DISTILLED["features"], PAIRS),
    "weight": (replace(PAIRS, distillation=Distillation(weight=5.0)), DISTILLED["images"]),
    "self_alignment": (replace(PAIRS, self_alignment=0.5), PAIRS),
    "inverse": (replace(PAIRS, weights="inverse_distortion"), PAIRS),
    "policy_weights": (LengthSampling(weights="policy"), LengthSampling()),
}


def chosen_for(lengths):
    return CHOSEN if lengths.needs_chosen else None


@pytest.mark.parametrize(("lengths", "without"), LENGTHS.values(), ids=LENGTHS)
def test_every_option_of_lengths_trains_resumes_to_the_bit_and_accumulates(lengths, without):
    options = {"lengths": lengths, "chosen": chosen_for(lengths), "perceptual": 0.5}
    ignored = {"lengths": without, "chosen": chosen_for(without), "perceptual": 0.5}
    whole = trained(**options)
    assert differs(whole, trained(**ignored))
    resumed = trainer_of(**options)
    resumed.load_state(run_to(trainer_of(**options), 3).state())
    assert [*resumed.run()] == [4, 5, 6]
    assert_same_state(resumed.state(), whole.state())
    assert_same_but_for_rounding(*(plainly_trained(accumulate=n, **options) for n in (1, 4)))


def test_a_step_s_loss_is_the_mean_over_its_decodings():
    trainer = trainer_of(lengths=replace(PAIRS, self_alignment=1.0), log_every=1)
    generator = step_generator(0, 0)
    with torch.no_grad():
        images = to_float(IMAGES[batch_indices(0, count=COUNT, batch=8, seed=0)])
        kept = sample_lengths((1, 2, 4), 8, config=PAIRS, generator=generator)
        errors = [(trainer.model(images, k).images - images).square() for k in (kept * 0 + 4, kept)]
        trainer.first_layer.seen.clear()
    (row,) = run_to(trainer, 1).history
    assert row["pixel_loss"] == pytest.approx(torch.stack(errors).mean().item(), rel=1e-5)
    assert 0 < row["alignment_loss"] < 0.5


@pytest.mark.parametrize(
    ("tokenizer", "lengths", "passes"),
    [
        (TOKENIZER, POLICY, 1),
        (TOKENIZER, LengthSampling(decodes="sandwich", drawn=2), 4),
        (replace(TOKENIZER, encoding="halting"), LengthSampling(distribution="all"), 2),
    ],
)
def test_passes_are_what_the_decoder_was_given_however_often_it_was_stopped(
    tokenizer, lengths, passes
):
    decoded, state = [], trainer_of(tokenizer).state()
    for stop in (3, 6):
        trainer = trainer_of(tokenizer, lengths=lengths, chosen=chosen_for(lengths))
        trainer.load_state(state)
        trainer.model.decoder.register_forward_hook(lambda _, given, __: decoded.append(given[1]))
        state = run_to(trainer, stop).state()
    found = trainer.passes()
    assert found.images == sum(map(len, decoded)) == 6 * 8 * passes
    assert found.tokens == torch.cat(decoded).sum()


@pytest.mark.parametrize(
    "lengths",
    [
        LengthSampling(),
        LengthSampling(distribution="policy"),
        LengthSampling(distribution="all"),
        LengthSampling(distribution="powers_of_two"),
        LengthSampling(per="batch"),
        LengthSampling(full_share=0.125),
    ],
)
@pytest.mark.parametrize("accumulate", [1, 4])
def test_lengths_are_drawn_once_per_step_for_the_whole_batch(lengths, accumulate, monkeypatch):
    chosen = CHOSEN if lengths.distribution == "policy" else None
    trainer = trainer_of(lengths=lengths, accumulate=accumulate, batch=16, chosen=chosen)
    forward, seen = trainer.model.forward, []

    def spy(images, kept, generator):
        seen.append(kept)
        return forward(images, kept, generator)

    monkeypatch.setattr(trainer.model, "forward", spy)
    for step in range(2):
        seen.clear()
        run_to(trainer, step + 1)
        assert len(seen) == accumulate
        generator = step_generator(0, step)
        of_batch = CHOSEN[batch_indices(step, count=COUNT, batch=16, seed=0)]
        expected = sample_lengths(
            (1, 2, 4), 16, config=lengths, generator=generator, chosen=of_batch
        )
        assert torch.equal(torch.cat(seen), expected)


@pytest.mark.parametrize(
    ("distribution", "chosen", "problem"),
    [
        ("policy", None, r"lengths\.distribution: policy needs the lengths"),
        ("all", CHOSEN, r"chosen: .* lengths\.distribution is all; set it to policy"),
        ("policy", CHOSEN[1:], r"chosen: must be int64 \[24\].*, not int64 \[23\]"),
        ("policy", CHOSEN.int(), r"chosen: must be int64 \[24\].*, not int32 \[24\]"),
        ("policy", CHOSEN - 1, r"chosen: lengths must lie in 1\.\.4, not in 0\.\.2"),
        ("policy", CHOSEN + 2, r"chosen: lengths must lie in 1\.\.4, not in 3\.\.5"),
    ],
)
def test_chosen_lengths_that_do_not_fit_are_refused(distribution, chosen, problem):
    with pytest.raises(ValueError, match=problem):
        trainer_of(lengths=LengthSampling(distribution=distribution), chosen=chosen)


def test_lengths_that_the_tokenizer_cannot_be_trained_at_are_refused():
    with pytest.raises(ValueError, match=r"^lengths\.decodes: pairs of the only length 4"):
        trainer_of(replace(TOKENIZER, budgets=(4,)), lengths=PAIRS)
    with pytest.raises(ValueError, match=r"^lengths\.weights: policy needs the lengths"):
        trainer_of(lengths=LengthSampling(weights="policy"))


@pytest.mark.parametrize(("share", "trained_heads"), [(1.0, [2]), (0.0, [0, 1, 2])])
def test_lengths_decide_which_heads_are_trained(share, trained_heads):
    trainer = trained(lengths=LengthSampling(full_share=share))
    moved = trainer.model.decoder.pixels.up.detach().abs().sum((1, 2)) > 0
    assert moved.nonzero().flatten().tolist() == trained_heads
