import mmap
from dataclasses import replace

import numpy as np
import pytest

from adatok_core.generator.schedule import Decoded, Step
from bench.speed.decode_rows import Arms, Beside, Timed, together
from bench.speed.decode_timing import PeakMemory, cost_by_position, ideal_seconds, spread


def decoded(*steps):
    return Decoded(
        finished=(),
        steps=len(steps),
        slot_steps=0,
        active_slot_steps=0,
        peak_cache_bytes=0,
        seconds=1.0,
        first_image_seconds=1.0,
        trace=tuple(Step(positions=p, active=a, seconds=s) for p, a, s in steps),
    )


def test_the_cost_of_a_position_is_the_median_over_batches():
    run = decoded(
        ((0, 0), 2, 1.0), ((1, 1), 2, 4.0), ((0, 0), 2, 3.0), ((1, 1), 2, 6.0), ((0, 0), 2, 2.0)
    )
    assert cost_by_position(run).tolist() == [2.0, 5.0]


@pytest.mark.parametrize("step", [((0, 1), 2, 1.0), ((1, 1), 1, 1.0)])
def test_a_cost_needs_sequences_in_step(step):
    with pytest.raises(ValueError, match="all in step"):
        cost_by_position(decoded(step))


def test_the_ideal_pays_for_each_images_own_positions():
    cost = np.array([1.0, 2.0, 4.0])
    assert ideal_seconds(cost, [1, 3], slots=2) == (1 + 7) / 2
    assert ideal_seconds(cost, [3, 3], slots=2) == cost.sum()  # a full batch in step
    assert ideal_seconds(cost, [5], slots=1) == 7 + 4 + 4  # beyond what was measured


def test_spread_is_median_and_quartiles():
    assert spread([4, 1, 2, 3, 5]) == {"median": 3, "quartile_low": 2, "quartile_high": 4}


def test_peak_memory_is_that_since_the_beginning():
    def held():
        """Pages of their own: what the allocator keeps would already be resident."""
        pages = mmap.mmap(-1, 64 << 20)
        pages.write(bytes(64 << 20))
        return pages

    held().close()
    memory = PeakMemory.begin("cpu")
    before = memory.read()
    pages = held()
    assert memory.read() >= before + 0.9 * (64 << 20)
    pages.close()


def arms():
    def timed(images, seconds, **more):
        given = {"tokens": 10 * images, "pixel_seconds": 1.0, "first_image_seconds": 0.5}
        given |= {"peak_memory_bytes": 100, "pixel_peak_memory_bytes": 300, "occupancy": 0.5}
        return Timed(images=images, seconds=seconds, **(given | more))

    none = {"first_image_seconds": None, "peak_memory_bytes": None}
    beside = [
        Beside(fixed=timed(4, 4.0), ideal=timed(8, 3.0, **none)),
        Beside(fixed=timed(4, 2.0), ideal=timed(8, 1.5, **none)),
    ]
    return Arms(
        whole=beside,
        modes={"refilled": [timed(8, 4.0), timed(8, 2.0)]},
        beside={"refilled": beside},
    )


def test_a_mode_is_set_against_what_stood_beside_it_and_not_against_the_whole_round():
    slow = replace(arms().whole[0], fixed=replace(arms().whole[0].fixed, seconds=8.0))
    _, ideal, refilled = replace(arms(), beside={"refilled": [slow, slow]}).rows(pixels=False)
    assert refilled["ratio_quartiles"] == [pytest.approx(5.0), pytest.approx(7.0)]
    assert ideal["ratio"] == pytest.approx(8 / 3)


def test_runs_together_are_their_mean():
    runs = [
        replace(arms().whole[0].fixed, seconds=s, peak_memory_bytes=m)
        for s, m in ((1.0, 5), (3.0, 4))
    ]
    mean = together(runs)
    assert (mean.images, mean.seconds, mean.peak_memory_bytes) == (4, 2.0, 5)


def test_rows_set_rates_of_one_round_side_by_side():
    fixed, ideal, refilled = arms().rows(pixels=False)
    assert [(row["arm"], row["mode"]) for row in (fixed, ideal, refilled)] == [
        ("fixed", "padded"),
        ("adaptive", "ideal"),
        ("adaptive", "refilled"),
    ]
    assert fixed["images_per_second"]["median"] == 1.5
    assert refilled["tokens_per_second"]["median"] == 30
    # In either round 2.0, although the machine was twice as fast in the second.
    assert (refilled["ratio"], refilled["ratio_quartiles"]) == (2.0, [2.0, 2.0])
    assert refilled["of_ideal"] == 0.75
    assert fixed["of_ideal"] is None
    assert (refilled["first_image_seconds"], refilled["peak_memory_bytes"]) == (0.5, 100)
    assert (ideal["first_image_seconds"], ideal["peak_memory_bytes"]) == (None, None)


def test_rows_with_pixels_take_their_time_and_memory():
    _, ideal, refilled = arms().rows(pixels=True)
    assert refilled["images_per_second"]["median"] == pytest.approx((8 / 5 + 8 / 3) / 2)
    assert refilled["peak_memory_bytes"] == 300
    assert ideal["images_per_second"]["median"] == pytest.approx((8 / 4 + 8 / 2.5) / 2)
