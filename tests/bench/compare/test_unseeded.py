import math

import numpy as np
import pytest

from bench.compare.paired import difference
from bench.compare.unseeded import bootstrapped, to_unseeded

RNG = np.random.default_rng(0)
NOISE = RNG.normal(size=400)
NOISE -= NOISE.mean()


def settled(ours, images, **options):
    return to_unseeded(ours, 1.0, images, path="policy.seed", higher_is_better=False, **options)


def test_one_seed_is_judged_over_its_images():
    one = settled({0: 0.9}, 0.2 * NOISE - 0.1)
    assert one.interval.over == "images"
    assert one.interval.n == 400
    assert one.interval.mean == pytest.approx(-0.1)
    half = 1.96 * 0.2 * NOISE.std() / 20
    assert one.interval.high - one.interval.mean == pytest.approx(half, rel=0.1)
    assert one.verdict == "better"
    assert one.over_seeds is None


@pytest.mark.parametrize(
    ("ours", "spread", "verdict"),
    [
        ({0: 0.90, 1: 0.91, 2: 0.89}, 0.2, "better"),
        ({0: 0.50, 1: 1.20, 2: 0.99}, 0.2, "no difference shown"),  # The seeds do not agree.
        ({0: 0.90, 1: 0.91, 2: 0.89}, 5.0, "no difference shown"),  # The images do not.
        ({0: 1.10, 1: 1.11, 2: 1.09}, 0.2, "worse"),
    ],
)
def test_several_seeds_must_show_it_as_the_images_do(ours, spread, verdict):
    mean = np.mean(list(ours.values())) - 1.0
    one = settled(ours, spread * NOISE + mean)
    assert one.verdict == verdict
    assert one.p == max(one.interval.p, one.over_seeds.p)
    assert one.over_seeds == difference(ours, dict.fromkeys(ours, 1.0)).interval


def test_images_are_moved_to_the_mean_of_the_values():
    """As where tokens are made equal, which moves the values and not the tables."""
    moved = settled({0: 0.8}, 0.2 * NOISE - 0.1)
    assert moved.interval.mean == pytest.approx(-0.2)
    plain = settled({0: 0.9}, 0.2 * NOISE - 0.1)
    assert moved.interval.low == pytest.approx(plain.interval.low - 0.1)


def test_without_images_there_is_an_interval_over_seeds_alone():
    several, alone = settled({0: 0.9, 1: 0.92}, None), settled({0: 0.9}, None)
    assert several.interval.over == "seeds"
    assert alone.direction == 0
    assert alone.verdict == "one policy seed, and no values by image: no interval"


def test_reversed_is_the_other_side_minus_this_one():
    one = settled({0: 0.90, 1: 0.91}, 0.2 * NOISE - 0.095)
    other = one.reversed
    assert (other.interval.low, other.interval.high) == (-one.interval.high, -one.interval.low)
    assert other.over_seeds.mean == -one.over_seeds.mean
    assert other.means == one.means[::-1]
    assert {one.verdict, other.verdict} == {"better", "worse"}
    assert other.whole == pytest.approx(0.905)


def test_a_bootstrap_is_the_same_again():
    assert bootstrapped(NOISE) is bootstrapped(NOISE.copy())
    assert bootstrapped(NOISE) != bootstrapped(NOISE, 1)
    assert not math.isnan(bootstrapped(NOISE).p)
