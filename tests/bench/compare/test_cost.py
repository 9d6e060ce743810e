from types import SimpleNamespace

import pytest

from bench.compare.cost import Cost, cost_of, cost_ratio

TRAINING = SimpleNamespace(steps=2000, batch=32)


def made(*, rounds=None, passes=()):
    trainings = {"training": TRAINING}
    if rounds:
        trainings["codesign.training"] = SimpleNamespace(steps=500, batch=64)
    config, settings = SimpleNamespace(trainings=trainings), {"codesign.rounds": rounds}
    stages = [SimpleNamespace(stage="tokenizer", decoder_passes=one) for one in passes]
    stages += [SimpleNamespace(stage="bank")]
    return SimpleNamespace(config=config, setting=settings.get, stages=stages)


def test_all_trainings_of_a_tokenizer_count_and_rounds_as_often_as_they_are():
    assert cost_of(made()) == Cost(2000, 64000, 64000)
    assert cost_of(made(rounds=3)) == Cost(3500, 64000 + 96000, 64000 + 96000)
    assert cost_of(made(passes=[128000])) == Cost(2000, 64000, 128000)
    # Of a training that tells none each image was decoded once.
    passes = cost_of(made(rounds=3, passes=[None, 50000, 40000, 32000])).decoder_passes
    assert passes == 64000 + 50000 + 40000 + 32000


@pytest.mark.parametrize(
    ("ours", "words"),
    [
        (Cost(2000, 64000, 64000), "equal steps and decoder passes"),
        (Cost(2000, 64000, 64500), "equal steps and decoder passes"),
        (Cost(2000, 64000, 128000), "equal steps, 2 x decoder passes"),
        (Cost(1000, 32000, 64000), "equal decoder passes, 0.5 x steps"),
        (Cost(2000, 128000, 128000), "equal steps, 2 x decoder passes"),
        (Cost(2000, 128000, 64000), "equal steps and decoder passes, 2 x images"),
        (Cost(6000, 192000, 192000), "not at equal steps, 3 x steps, 3 x decoder passes"),
    ],
)
def test_what_is_equal_of_two_costs_is_said(ours, words):
    assert cost_ratio(ours, Cost(2000, 64000, 64000)).words == words
