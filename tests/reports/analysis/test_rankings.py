import pytest

from bench.records.parts import Metrics
from reports.analysis.rankings import agreements
from reports.analysis.systems import System


def systems(*values):
    """`values[system][seed]`: metrics of each."""
    return [
        System(str(place), {seed: [Metrics(one)] for seed, one in enumerate(each)})
        for place, each in enumerate(values)
    ]


def test_tau_is_taken_per_seed_and_averaged():
    made = systems(
        [{"mse": 1, "psnr": 10}, {"mse": 1, "psnr": 30}],
        [{"mse": 2, "psnr": 20}, {"mse": 2, "psnr": 20}],
        [{"mse": 3, "psnr": 30}, {"mse": 3, "psnr": 10}],
        [{"mse": 4, "psnr": 40}, {"mse": 4, "psnr": 40}],
    )
    (one,) = agreements(made, ["mse", "psnr"])
    # The first seed agrees in all six pairs; the second in three of them.
    assert one.tau.mean == pytest.approx((1 + 0) / 2)
    assert (one.metrics, one.systems, one.tau.n) == (("mse", "psnr"), 4, 2)


def test_opposite_orders_and_three_metrics():
    made = systems(*([{"mse": i, "psnr": -i, "ssim": i**3}] for i in range(5)))
    taus = {one.metrics: one.tau.mean for one in agreements(made, ["mse", "psnr", "ssim"])}
    assert taus == pytest.approx({("mse", "psnr"): -1, ("mse", "ssim"): 1, ("psnr", "ssim"): -1})


def test_what_cannot_be_ranked_is_left_out():
    assert (
        agreements(systems([{"mse": 1, "psnr": 1}], [{"mse": 2, "psnr": 2}]), ["mse", "psnr"]) == []
    )
    flat = systems(*([{"mse": i, "psnr": 7}] for i in range(4)))
    assert agreements(flat, ["mse", "psnr"]) == []
    missing = systems(
        [{"mse": 1}], [{"mse": 2, "psnr": 1}], [{"mse": 3, "psnr": 2}], [{"mse": 4, "psnr": 3}]
    )
    (one,) = agreements(missing, ["mse", "psnr"])
    assert (one.systems, one.tau.mean) == (3, 1)
