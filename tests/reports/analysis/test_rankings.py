import pytest

from reports.analysis.rankings import agreements
from reports.analysis.systems import System


def systems(*values):
    """`values[system][seed]`: metrics of each."""
    return [System(str(i), {s: [m] for s, m in enumerate(each)}) for i, each in enumerate(values)]


def test_tau_is_taken_per_seed_and_averaged():
    made = systems(
        [{"a": 1, "b": 10}, {"a": 1, "b": 30}],
        [{"a": 2, "b": 20}, {"a": 2, "b": 20}],
        [{"a": 3, "b": 30}, {"a": 3, "b": 10}],
        [{"a": 4, "b": 40}, {"a": 4, "b": 40}],
    )
    (one,) = agreements(made, ["a", "b"])
    # The first seed agrees in all six pairs; the second in three of them.
    assert one.tau.mean == pytest.approx((1 + 0) / 2)
    assert (one.metrics, one.systems, one.tau.n) == (("a", "b"), 4, 2)


def test_opposite_orders_and_three_metrics():
    made = systems(*([{"a": i, "b": -i, "c": i**3}] for i in range(5)))
    taus = {one.metrics: one.tau.mean for one in agreements(made, ["a", "b", "c"])}
    assert taus == pytest.approx({("a", "b"): -1, ("a", "c"): 1, ("b", "c"): -1})


def test_what_cannot_be_ranked_is_left_out():
    assert agreements(systems([{"a": 1, "b": 1}], [{"a": 2, "b": 2}]), ["a", "b"]) == []
    flat = systems(*([{"a": i, "b": 7}] for i in range(4)))
    assert agreements(flat, ["a", "b"]) == []
    missing = systems([{"a": 1}], [{"a": 2, "b": 1}], [{"a": 3, "b": 2}], [{"a": 4, "b": 3}])
    (one,) = agreements(missing, ["a", "b"])
    assert (one.systems, one.tau.mean) == (3, 1)
