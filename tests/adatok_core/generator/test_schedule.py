import pytest
import torch

from adatok_core.config import Sampling
from adatok_core.generator.engine import Engine
from adatok_core.generator.reference import decode_reference
from adatok_core.generator.requests import Request
from adatok_core.generator.schedule import decode, run

LAYOUTS = ("fixed", "end_token", "length_token")
MODES = ("refilled", "bucketed", "padded")
GREEDY = Sampling(temperature=0.0)


def requests_of(lengths, *, label=True):
    return [
        Request(index=index, label=index % 3 if label else None, seed=index, length=length)
        for index, length in enumerate(lengths)
    ]


def assert_as_the_reference(made, requests, decoded, sampling):
    """The whole sequence at every step, one image after the other, gives the same images."""
    assert [image.index for image in decoded.finished] == [r.index for r in requests]
    for request, image in zip(requests, decoded.finished, strict=True):
        expected = decode_reference(
            *made, label=request.label, seed=request.seed, length=request.length, sampling=sampling
        )
        assert image.ids.tolist() == expected.ids.tolist()
        assert (image.length, image.unended) == (expected.length, expected.unended)


def lengths_for(layout, mode):
    """Given and undecided ones mixed, where the mode can do with it."""
    known = [1, 3, 6, 3, 1, 1, 6, 3]
    undecided = layout == "end_token" and mode == "bucketed"
    return known if undecided else [*known[:5], None, None, None]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    ("sampling", "shape", "block"),
    [
        (GREEDY, {}, 2),
        (GREEDY, {"norm": "layer", "positions": "learned"}, 32),
        (Sampling(temperature=0.0, guidance=2.0), {"positions": "learned"}, 1),
        (Sampling(), {"norm": "layer"}, 3),
        (Sampling(top_k=4, guidance=1.5), {}, 4),
        (Sampling(temperature=1.5, top_p=0.8), {"class_conditional": False, "class_dropout": 0}, 2),
    ],
    ids=str,
)
def test_every_mode_gives_the_images_of_the_reference(
    untrained, layout, mode, sampling, shape, block
):
    made = untrained(layout, **shape)
    requests = requests_of(lengths_for(layout, mode), label="class_conditional" not in shape)
    decoded = decode(*made, requests, sampling=sampling, slots=3, mode=mode, block=block)
    assert_as_the_reference(made, requests, decoded, sampling)


@pytest.mark.parametrize("slots", [1, 2, 5, 20])
def test_an_image_depends_neither_on_the_slots_nor_on_its_place(untrained, slots):
    made = untrained("end_token")
    requests = requests_of([None] * 12)
    alone = [decode(*made, [r], sampling=Sampling(), slots=1).finished[0] for r in requests]
    turned = decode(*made, requests[::-1], sampling=Sampling(), slots=slots, block=2)
    assert len({image.length for image in alone}) > 2
    for image, same in zip(alone, turned.finished, strict=True):
        assert (image.index, image.steps, image.unended) == (same.index, same.steps, same.unended)
        assert image.ids.tolist() == same.ids.tolist()


@pytest.mark.parametrize("mode", MODES)
def test_an_engine_decodes_again_without_a_trace_of_before(untrained, mode):
    made = untrained("length_token")
    engine = Engine(*made, sampling=Sampling(), slots=2, block=2)
    requests = requests_of([None] * 7)
    first, again = (run(engine, requests, mode=mode) for _ in range(2))
    other = run(engine, requests[:3], mode=mode)
    ids = [image.ids.tolist() for image in first.finished]
    assert ids == [image.ids.tolist() for image in again.finished]
    assert ids[:3] == [image.ids.tolist() for image in other.finished]
    assert other.peak_cache_bytes <= first.peak_cache_bytes == again.peak_cache_bytes
    assert engine.cache.used == 0


@pytest.mark.parametrize(
    ("mode", "steps", "slot_steps"),
    [
        # Longest first: 6 then 1 beside 5, 2 and 1: the slots end after 7 and 8 steps.
        ("refilled", 8, 15),
        # In order: (1, 6), (2, 5), (1) run 6 + 5 + 1 steps, the last alone.
        ("padded", 12, 23),
        # By length: (1, 1), (2, 5), (6) run 1 + 5 + 6 steps, the last alone.
        ("bucketed", 12, 18),
    ],
)
def test_the_number_of_steps_is_that_of_the_schedule(untrained, mode, steps, slot_steps):
    requests = requests_of([1, 6, 2, 5, 1])
    decoded = decode(*untrained(), requests, sampling=GREEDY, slots=2, mode=mode, trace=True)
    assert (decoded.steps, decoded.slot_steps) == (steps, slot_steps)
    assert decoded.active_slot_steps == sum([1, 6, 2, 5, 1])
    assert [image.steps for image in decoded.finished] == [1, 6, 2, 5, 1]
    assert sum(step.active for step in decoded.trace) == decoded.active_slot_steps
    assert sum(len(step.positions) for step in decoded.trace) == slot_steps


def test_only_the_last_rounds_are_sorted(untrained):
    """11 requests, 1 slot: the first three in their order, the last eight longest first."""
    lengths = [2, 1, 3, 4, 5, 1, 3, 2, 6, 1, 4]
    requests = requests_of(lengths)
    decoded = decode(*untrained(), requests, sampling=GREEDY, slots=1, trace=True)
    starts = [i for i, step in enumerate(decoded.trace) if step.positions == (0,)]
    ends = [*starts[1:], decoded.steps]
    assert [b - a for a, b in zip(starts, ends, strict=True)] == [2, 1, 3, 6, 5, 4, 4, 3, 2, 1, 1]


def test_undecided_requests_are_refilled_in_their_order(untrained):
    requests = requests_of([None] * 6)
    decoded = decode(*untrained("end_token"), requests, sampling=Sampling(), slots=1, trace=True)
    starts = [i for i, step in enumerate(decoded.trace) if step.positions == (0,)]
    ends = [*starts[1:], decoded.steps]
    steps = [b - a for a, b in zip(starts, ends, strict=True)]
    assert steps == [image.steps for image in decoded.finished]


def test_length_tokens_are_drawn_for_all_before_bucketing(untrained):
    made = untrained("length_token", seed=2)
    requests = requests_of([None] * 8)
    padded, bucketed = (
        decode(*made, requests, sampling=Sampling(), slots=4, mode=mode)
        for mode in ("padded", "bucketed")
    )
    lengths = sorted(image.length for image in bucketed.finished)
    assert lengths[0] < lengths[-1]
    # Two steps for the length tokens, then two batches, each as long as its longest.
    assert bucketed.steps == 2 + (1 + lengths[3]) + (1 + lengths[7])
    for image, same in zip(padded.finished, bucketed.finished, strict=True):
        assert image.ids.tolist() == same.ids.tolist()


def test_an_image_without_an_end_is_cut_and_counted(untrained):
    made = _, vocabulary = untrained("end_token", seed=4)
    decoded = decode(*made, requests_of([None] * 40), sampling=Sampling(), slots=8)
    assert 0 < decoded.unended == sum(image.unended for image in decoded.finished) < 40
    for image in decoded.finished:
        if image.unended:
            assert (image.length, image.steps) == (vocabulary.max_length, vocabulary.max_steps)
            assert image.ids.max() < vocabulary.codes
        else:
            assert image.steps == image.length + 1


@pytest.mark.parametrize(
    ("mode", "blocks"),
    # Blocks of 2 for the lengths 6, 1, 1, 1: refilled has 3 + 1, padded runs on to 3 + 3.
    [("refilled", 4), ("padded", 6)],
)
def test_the_peak_of_the_cache_is_that_of_the_blocks_in_use(untrained, mode, blocks):
    engine = Engine(*untrained(), sampling=GREEDY, slots=2, block=2)
    lengths = [6, 1, 1, 1, 1, 1] if mode == "refilled" else [6, 1, 1, 1]
    decoded = run(engine, requests_of(lengths), mode=mode)
    assert decoded.peak_cache_bytes == blocks * engine.cache.block_bytes


def test_few_windows_occur(untrained, monkeypatch):
    """Each distinct shape is a graph to capture on a GPU."""
    engine = Engine(*untrained(), sampling=Sampling(), slots=8, block=2)
    shapes, transformer = set(), engine.logits

    def logits(rows, positions, window):
        shapes.add((len(rows), len(window.reader), window.width))
        return transformer(rows, positions, window)

    monkeypatch.setattr(engine, "logits", logits)
    generator = torch.Generator().manual_seed(0)
    lengths = torch.randint(1, 7, (64,), generator=generator).tolist()
    steps = run(engine, requests_of(lengths)).steps
    full = [shape for shape in shapes if shape[0] == 8]
    # 8 sequences of at most 3 blocks: 8, 12, 16, 20 or 24 blocks in all.
    assert {blocks for _, blocks, _ in full} <= {8, 12, 16, 20, 24}
    assert len(full) <= 10
    assert len(shapes) < len(full) + 8 < steps


def test_times_add_up(untrained):
    decoded = decode(
        *untrained(), requests_of([1, 6, 6]), sampling=GREEDY, slots=3, mode="padded", trace=True
    )
    assert all(step.seconds > 0 for step in decoded.trace)
    assert sum(step.seconds for step in decoded.trace) < decoded.seconds
    refilled = decode(*untrained(), requests_of([1, 6, 6]), sampling=GREEDY, slots=3)
    assert refilled.first_image_seconds < refilled.seconds
    assert refilled.trace == ()


@pytest.mark.parametrize(
    ("requests", "mode", "complaint"),
    [
        ([], "refilled", "requests: there are none"),
        (requests_of([1]), "refill", "mode: refill is none of refilled, bucketed, padded"),
        (requests_of([1, None]), "bucketed", "mode: bucketed needs lengths"),
        (requests_of([1, 7]), "padded", "length: 7 does not lie in 1..6"),
        ([Request(index=0, label=5)], "padded", "label: 5 is no class of 0..2"),
    ],
)
def test_what_cannot_be_scheduled_is_refused_before_anything_runs(
    untrained, requests, mode, complaint
):
    engine = Engine(*untrained("end_token"), sampling=GREEDY, slots=2)
    with pytest.raises(ValueError, match=f"^{complaint}"):
        run(engine, requests, mode=mode)
    assert engine.flights == []
