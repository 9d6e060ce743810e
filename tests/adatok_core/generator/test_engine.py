import pytest
import torch

from adatok_core.config import Sampling
from adatok_core.generator.engine import Engine
from adatok_core.generator.requests import Request
from adatok_core.generator.sequences import Vocabulary

UNCONDITIONAL = {"class_conditional": False, "class_dropout": 0.0}


def engine_of(made, *, slots=3, sampling=None, **options):
    return Engine(*made, sampling=sampling or Sampling(temperature=0.0), slots=slots, **options)


def test_a_step_predicts_one_token_for_every_sequence_where_it_stands(untrained):
    made = generator, _ = untrained()
    engine = engine_of(made)
    engine.start(Request(index=0, label=0))
    engine.step()
    engine.start(Request(index=1, label=2))
    engine.step()
    first, second = engine.flights
    assert (first.position, second.position) == (2, 1)
    with torch.no_grad():
        logits = generator(torch.tensor([0]), torch.tensor([first.tokens[:1]]))
    assert logits.argmax(-1).tolist() == [first.tokens]


def test_slots_are_free_until_taken_and_again_once_released(untrained):
    engine = engine_of(untrained(), slots=2)
    for index in range(2):
        assert engine.has_room
        engine.start(Request(index=index, label=0))
    assert not engine.has_room
    engine.release(engine.flights[0])
    assert engine.has_room
    assert [flight.request.index for flight in engine.flights] == [1]


def test_a_sequence_that_runs_on_keeps_its_length(untrained):
    """Whatever it predicts then, further end tokens included."""
    made = _, vocabulary = untrained("end_token", seed=1)
    engine = engine_of(made, sampling=Sampling(), slots=100)
    for index in range(100):
        engine.start(Request(index=index, label=0, seed=index))
    images, ends = {}, 0
    for _ in range(vocabulary.max_steps):
        engine.step()
        for flight in engine.flights:
            if flight.over:
                images.setdefault(flight.request.index, engine.result(flight))
    for flight in engine.flights:
        image, later = images[flight.request.index], engine.result(flight)
        assert (later.steps, later.ids.tolist()) == (image.steps, image.ids.tolist())
        ends += flight.tokens.count(vocabulary.codes) > 1
    assert ends > 0


@pytest.mark.parametrize("guidance", [1.0, 2.0])
def test_guidance_takes_twice_the_cache(untrained, guidance):
    engine = engine_of(untrained(), sampling=Sampling(guidance=guidance))
    heads = engine.cache.layers[0][0].shape[1]
    assert heads == (2 if guidance == 1 else 4)


@pytest.mark.parametrize(
    ("precision", "dtype"), [("fp32", torch.float32), ("bf16", torch.bfloat16)]
)
def test_the_cache_and_the_predictions_have_the_precision(untrained, precision, dtype):
    engine = engine_of(untrained(), precision=precision)
    engine.start(Request(index=0, label=0))
    assert engine.cache.layers[0][0].dtype == dtype
    window = engine.cache.window([0], [0])
    with torch.no_grad():
        assert engine.logits(torch.zeros(1, 1).long(), torch.zeros(1).long(), window).dtype == dtype


def test_the_transformer_of_a_step_compiles_into_one_graph_for_each_window(untrained, monkeypatch):
    """No value on the device decides what is computed: CUDA graphs and compilers apply."""
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    made = untrained(depth=1)
    plain, compiled = engine_of(made, block=2), engine_of(made, block=2)
    graphs, windows = [], set()

    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward

    transformer = torch.compile(compiled.logits, backend=backend, fullgraph=True, dynamic=False)

    def logits(rows, positions, window):
        windows.add((len(rows), len(window.reader), window.width))
        return transformer(rows, positions, window)

    compiled.logits = logits
    for engine in (plain, compiled):
        for index in range(3):
            engine.start(Request(index=index, label=index))
        for _ in range(6):
            engine.step()
    assert len(graphs) == len(windows) == 3
    assert [f.tokens for f in compiled.flights] == [f.tokens for f in plain.flights]


@pytest.mark.parametrize(
    ("options", "request_of", "complaint"),
    [
        ({}, {"label": 3}, "label: 3 is no class of 0..2"),
        ({}, {"label": None}, "label: None is no class of 0..2"),
        (UNCONDITIONAL, {"label": 1}, "label: 1, but the generator knows no classes"),
        ({}, {"length": 7}, "length: 7 does not lie in 1..6"),
        ({"lengths": "length_token"}, {"length": 2}, "length: 2 is none of the budgets"),
    ],
)
def test_what_no_image_has_is_refused(untrained, options, request_of, complaint):
    engine = engine_of(untrained(**options))
    with pytest.raises(ValueError, match=f"^{complaint}"):
        engine.require(Request(index=0, **{"label": 0, **request_of}))


@pytest.mark.parametrize(
    ("shape", "options", "complaint"),
    [
        ({}, {"slots": 0}, "slots: 0 must be 1 or more"),
        ({}, {"block": 0}, "block: 0 must be 1 or more"),
        ({}, {"precision": "fp8"}, "precision: fp8 is none of fp32, bf16"),
        (UNCONDITIONAL, {"sampling": Sampling(guidance=2.0)}, "guidance: the generator knows no"),
        (
            {"class_dropout": 0.0},
            {"sampling": Sampling(guidance=2.0)},
            "guidance: the generator never sees",
        ),
    ],
)
def test_an_engine_that_cannot_be_is_refused(untrained, shape, options, complaint):
    with pytest.raises(ValueError, match=f"^{complaint}"):
        engine_of(untrained(**shape), **options)


@pytest.mark.parametrize(
    ("vocabulary", "complaint"),
    [
        ({"codes": 12}, "generator: predicts 11 tokens, the vocabulary has 12"),
        ({"classes": 4}, "generator: knows 3 classes, the vocabulary 4"),
        ({"budgets": (1, 9)}, "generator: has 6 positions, the longest image takes 9"),
    ],
)
def test_a_generator_of_another_vocabulary_is_refused(untrained, vocabulary, complaint):
    generator, _ = untrained()
    other = Vocabulary(**{"codes": 11, "budgets": (1, 3, 6), "classes": 3, **vocabulary})
    with pytest.raises(ValueError, match=f"^{complaint}$"):
        engine_of((generator, other))


def test_predictions_that_are_not_numbers_are_refused(untrained):
    generator, vocabulary = untrained(seed=3)
    broken = type(generator)(
        generator.config, vocabulary_size=vocabulary.size, classes=3, max_steps=6
    )
    torch.nn.init.constant_(broken.logits.weight, torch.nan)
    engine = engine_of((broken, vocabulary))
    engine.start(Request(index=0, label=0))
    with pytest.raises(ValueError, match=r"^generator: its logits are not numbers"):
        engine.step()
