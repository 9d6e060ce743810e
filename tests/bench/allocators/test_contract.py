"""What every allocator must hold to, whatever it looks at."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from adatok_core.config import FSQ, PolicyConfig
from adatok_core.policy_training import build_policy
from adatok_core.quantizers import build_quantizer
from bench.allocators.allocation import allocation_skill, budget_shares
from bench.allocators.base import NOTHING, PARTS, Fitting
from bench.allocators.build import build_allocator
from bench.allocators.learned import LearnedPolicy
from bench.allocators.mixture import Shuffled, fixed
from bench.config.allocators import (
    AgnosticConfig,
    CodebookEntropyConfig,
    EdgeDensityConfig,
    OracleConfig,
    PngSizeConfig,
    ThresholdConfig,
)

MEAN = 6.0
CONFIGS = {
    "agnostic": AgnosticConfig(mean_budget=MEAN),
    "oracle": OracleConfig(mean_budget=MEAN),
    "png_size": PngSizeConfig(mean_budget=MEAN),
    "edge_density": EdgeDensityConfig(mean_budget=MEAN),
    "codebook_entropy": CodebookEntropyConfig(mean_budget=MEAN, prefix=6),
    "threshold_scan": ThresholdConfig(search="scan", mean_budget=MEAN),
    "threshold_bisection": ThresholdConfig(search="bisection", mean_budget=MEAN),
}
POLICIES = {"policy latents": "latents", "policy quantized": "quantized", "policy pixels": "pixels"}
SEES = {
    "fixed": set(),
    "shuffled": set(),
    "agnostic": set(),
    "oracle": {"curves"},
    "png_size": {"pixels"},
    "edge_density": {"pixels"},
    "codebook_entropy": {"ids"},
    "threshold_scan": {"curves"},
    "threshold_bisection": {"curves"},
    "policy latents": {"latents"},
    "policy quantized": {"ids"},
    "policy pixels": {"pixels"},
}
BLIND = [name for name, sees in SEES.items() if not sees]
FITTED = ["agnostic", "fixed", "oracle", *[n for n in CONFIGS if n not in ("agnostic", "oracle")]]


def learned(kind):
    """A policy with random weights, so that its choices differ."""
    shapes = {"latents": (2, 4), "quantized": (16, 3), "pixels": (4, 192)}
    config = PolicyConfig(candidates=(2, 4, 8, 16), input=kind)
    policy = build_policy(config, length=shapes[kind][0], width=shapes[kind][1])
    with torch.no_grad():
        policy.logits.weight.normal_(0, 5, generator=torch.Generator().manual_seed(3))
    quantizer = build_quantizer(8, FSQ(levels=(4, 4, 4)), tokens=16)
    return LearnedPolicy(policy=policy.eval(), config=config, quantizer=quantizer, patch_size=8)


@pytest.fixture
def build(budgets, training):
    """`build(name, judged, seed=0)`: an allocator fitted on the training images."""

    def build(name, judged, seed=0):
        if name in POLICIES:
            return learned(POLICIES[name])
        if name == "fixed":
            return fixed(budgets, mean_budget=MEAN, seed=seed)
        if name == "shuffled":
            return Shuffled(chosen=np.arange(judged.count) % 4, seed=seed)
        fitting = Fitting(budgets=budgets, judged=judged, training=training, seed=seed)
        return build_allocator(CONFIGS[name], fitting)

    return build


def permuted(seen, order):
    parts = {part: getattr(seen, part)[order] for part in PARTS}
    return replace(seen, **parts)


@pytest.mark.parametrize("name", SEES)
def test_it_says_what_it_sees(build, judged, name):
    allocator = build(name, judged)
    assert allocator.sees == SEES[name]
    assert allocator.name == name.split()[0]


@pytest.mark.parametrize("name", SEES)
def test_every_image_gets_a_candidate(build, judged, budgets, name):
    allocation = build(name, judged).allocate(judged)
    assert allocation.chosen.shape == (judged.count,)
    assert np.issubdtype(allocation.chosen.dtype, np.integer)
    assert allocation.chosen.min() >= 0
    assert allocation.chosen.max() < len(budgets)
    assert len(np.unique(allocation.chosen)) > 1
    assert allocation.encoder_passes >= 1
    assert allocation.decoder_passes >= 0


@pytest.mark.parametrize("name", SEES)
def test_the_same_seed_gives_the_same_budgets(build, judged, name):
    first, again, other = (build(name, judged, seed).allocate(judged) for seed in (0, 0, 1))
    assert (first.chosen == again.chosen).all()
    if name in BLIND:
        assert (first.chosen != other.chosen).any()
        np.testing.assert_array_equal(
            budget_shares(first.chosen, 4), budget_shares(other.chosen, 4)
        )
    else:
        assert (first.chosen == other.chosen).all()


@pytest.mark.parametrize("name", [name for name in SEES if name not in BLIND])
def test_permuting_the_images_permutes_the_budgets(build, judged, name):
    order = np.random.default_rng(0).permutation(judged.count)
    allocator = build(name, judged)
    here = allocator.allocate(judged)
    there = allocator.allocate(permuted(judged, order))
    np.testing.assert_array_equal(there.chosen, here.chosen[order])
    assert there.encoder_passes == pytest.approx(here.encoder_passes)
    assert there.decoder_passes == pytest.approx(here.decoder_passes)


@pytest.mark.parametrize("name", [n for n in SEES if n not in (*BLIND, "oracle")])
def test_an_images_budget_does_not_depend_on_its_neighbours(build, judged, name):
    allocator = build(name, judged)
    half = np.arange(0, judged.count, 2)
    part = replace(permuted(judged, half), count=len(half))
    np.testing.assert_array_equal(
        allocator.allocate(part).chosen, allocator.allocate(judged).chosen[half]
    )


@pytest.mark.parametrize("name", SEES)
def test_it_does_not_see_what_it_does_not_declare(build, judged, images, name):
    allocator = build(name, judged)
    expected = allocator.allocate(judged).chosen
    others = images(judged.count, seed=9)
    hidden = {part: getattr(others, part) for part in PARTS if part not in allocator.sees}
    np.testing.assert_array_equal(allocator.allocate(replace(judged, **hidden)).chosen, expected)
    np.testing.assert_array_equal(allocator.allocate(judged.only(allocator.sees)).chosen, expected)


@pytest.mark.parametrize("name", [name for name in SEES if SEES[name]])
def test_it_does_look_at_what_it_declares(build, judged, images, name):
    allocator = build(name, judged)
    shown = {part: getattr(images(judged.count, seed=9), part) for part in allocator.sees}
    other = allocator.allocate(replace(judged, **shown)).chosen
    assert (other != allocator.allocate(judged).chosen).any()


@pytest.mark.parametrize("name", FITTED)
def test_it_hits_its_mean_budget_on_the_images_it_was_fitted_on(build, training, budgets, name):
    chosen = build(name, training).allocate(training).chosen
    # Two images may share a score, and one image moves the mean by at most this.
    step = (budgets[-1] - budgets[0]) / training.count
    assert budgets[chosen].mean() == pytest.approx(MEAN, abs=4 * step)


@pytest.mark.parametrize("name", ["png_size", "edge_density", "codebook_entropy", "threshold_scan"])
def test_calibration_images_fix_the_mean_where_there_are_some(budgets, training, images, name):
    simple = images(300, seed=5)
    few = np.argsort(simple.curves[:, 0])[:100]
    calibration = replace(permuted(simple, few), count=100)
    fitting = Fitting(budgets=budgets, judged=training, training=training, calibration=calibration)
    allocator = build_allocator(CONFIGS[name], fitting)
    assert budgets[allocator.allocate(calibration).chosen].mean() == pytest.approx(MEAN, abs=1)
    assert budgets[allocator.allocate(training).chosen].mean() > MEAN + 1


@pytest.mark.parametrize("name", ["png_size", "edge_density", "codebook_entropy"])
def test_a_score_that_knows_the_complexity_has_skill(build, judged, budgets, name):
    chosen = build(name, judged).allocate(judged).chosen
    assert allocation_skill(judged.curves, budgets, chosen) > 0.5


@pytest.mark.parametrize("name", SEES)
@pytest.mark.parametrize("nested", [True, False])
def test_passes_are_counted(build, judged, name, nested):
    allocator = build(name, judged)
    allocation = allocator.allocate(replace(judged, nested=nested))
    found = (allocation.encoder_passes, allocation.decoder_passes)
    if name == "oracle":
        assert found == (1 if nested else 4, 4)
    elif name == "threshold_bisection":  # four candidates: two halvings
        assert allocation.decoder_passes == 2
        assert found[0] == 1 if nested else 2 <= found[0] <= 3
    elif name == "threshold_scan":
        assert 1 < allocation.decoder_passes < 3
        assert found[0] == 1 if nested else found[0] >= found[1]
    else:
        again = not nested and allocator.sees & {"latents", "ids"}
        assert found == (2 if again else 1, 0)


def test_what_ignores_the_image_draws_a_stream_of_its_own(build, judged):
    """The permutation that shuffles must not be the one that drew the mixture."""
    mixture = build("fixed", judged).allocate(judged).chosen
    shuffled = Shuffled(chosen=mixture, seed=0).allocate(judged.only(NOTHING)).chosen
    assert 0.2 < (shuffled != mixture).mean() < 0.8
    assert abs(shuffled[: judged.count // 2].mean() - shuffled[judged.count // 2 :].mean()) < 0.3
