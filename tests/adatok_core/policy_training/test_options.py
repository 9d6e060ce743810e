"""Each option leads to another policy."""

import itertools
from dataclasses import replace

import pytest
import torch

from adatok_core.config import (
    KL,
    OFF,
    Annealed,
    ConstraintWeighting,
    FixedWeighting,
    Reward,
    Supervised,
)

ANNEALED = Annealed(start=0.3, end=0.005)
PENALTIES = [
    {"entropy": Annealed(start=0.3, end=0.1)},
    {"entropy": OFF},
    {"kl": KL(coefficient=ANNEALED)},
    {"kl": KL(coefficient=Annealed(start=0.3, end=0.1))},
    {"kl": KL(coefficient=ANNEALED, reference="snapshot", refresh_every=2)},
    {"kl": KL(coefficient=ANNEALED, reference="snapshot", refresh_every=3)},
]
OPTIONS = {
    "group": [
        {"group_baseline": "uniform"},
        {"normalise_advantage": True},
        {"updates_per_batch": 3},
        {"updates_per_batch": 3, "clip": 0.01},
    ],
    "sampled": [
        {"draws": 3},
        {"normalise_advantage": False},
        {"updates_per_batch": 3},
        {"updates_per_batch": 3, "clip": 0.01},
    ],
    "reinforce": [{"baseline_decay": 0.5}],
    "ppo": [{"updates_per_batch": 3}, {"clip": 0.01}, {"value_weight": 2.0}],
}


@pytest.fixture(scope="module")
def brief(config):
    return replace(config, steps=7, log_every=3)


@pytest.fixture(scope="module")
def all_differ(train, weights):
    """`all_differ(base, variants, **tables)`: no two of them train the same policy."""

    def all_differ(base, variants, **tables):
        ends = [weights(train(replace(base, **variant), **tables).policy) for variant in variants]
        for (one, a), (other, b) in itertools.combinations(zip(variants, ends, strict=True), 2):
            assert a.shape != b.shape or (a - b).abs().max() > 1e-5, (one, other)

    return all_differ


@pytest.mark.parametrize("name", OPTIONS)
def test_of_an_objective(all_differ, brief, objectives, name):
    variants = [replace(objectives[name], **v) for v in ({}, *OPTIONS[name], *PENALTIES)]
    # A high rate, so that repeated updates leave the clip's interval.
    base = replace(brief, learning_rate=5e-2)
    all_differ(base, [{"objective": variant} for variant in variants])


def test_of_the_supervised_predictor(all_differ, brief):
    variants = [Supervised(), Supervised(centred=True)]
    all_differ(brief, [{"objective": variant} for variant in variants])


def test_of_a_weighting(all_differ, brief, weightings):
    hypervolume, gradient = weightings["hypervolume"], weightings["gradient"]
    variants = [
        FixedWeighting(efficiency=0.3),
        FixedWeighting(efficiency=0.5),
        ConstraintWeighting(mean_budget=4),
        ConstraintWeighting(mean_budget=5),
        ConstraintWeighting(mean_budget=4, step_size=1.0),
        ConstraintWeighting(quality_drop=0.1),
        ConstraintWeighting(quality_drop=0.2),
        hypervolume,
        replace(hypervolume, efficiency=0.4),
        replace(hypervolume, every=3),
        replace(hypervolume, scale=0.05),
        replace(hypervolume, reference=(-0.2, 0.1)),
        replace(hypervolume, reference="untrained"),
        gradient,
        replace(gradient, efficiency=0.4),
        replace(gradient, step_size=10.0),
        replace(gradient, floor=0.29, efficiency=0.3, step_size=100.0),
        replace(gradient, floor=0.05, efficiency=0.3, step_size=100.0),
    ]
    all_differ(replace(brief, steps=12), [{"weighting": variant} for variant in variants])


@pytest.mark.parametrize("name", ["group", "supervised"])
def test_of_a_policy(all_differ, seen, brief, objectives, name):
    variants = [
        {},
        {"input": "quantized"},
        {"pooling_queries": 2},
        {"hidden": 8},
        {"learning_rate": 5e-3},
        {"weight_decay": 1.0},
        {"batch": 32},
        {"steps": 8},
        {"seed": 1},
        {"reward": Reward(scale="relative")},
        {"reward": Reward(scale="per_image")},
        {"reward": Reward(perceptual_share=0.5)},
        {"reward": Reward(perceptual_share=1.0)},
    ]
    noise = torch.rand(300, 1, generator=torch.Generator().manual_seed(2))
    base = replace(brief, objective=objectives[name])
    all_differ(base, variants, perceptual=noise * seen.mse.sqrt())


def test_of_the_candidates(train, brief, weights):
    one = train(brief)
    other = train(replace(brief, candidates=(2, 4, 8, 12)))
    assert (weights(one.policy) - weights(other.policy)).abs().max() > 1e-5


def test_of_the_log(train, brief, weights):
    rare, often = train(brief), train(replace(brief, log_every=2))
    assert [row["step"] for row in rare.history] == [3, 6, 7]
    assert [row["step"] for row in often.history] == [2, 4, 6, 7]
    assert torch.equal(weights(rare.policy), weights(often.policy))
