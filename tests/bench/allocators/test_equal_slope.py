import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bench.allocators.allocation import oracle_allocation, oracle_curve
from bench.allocators.equal_slope import choose, price_meeting
from bench.errors import UserError

deterministic = settings(deadline=None, derandomize=True)
B = np.array([1, 2, 5])


def test_a_price_trades_distortion_for_tokens():
    curves = np.array([[9.0, 4.0, 0.0], [3.0, 2.9, 2.8]])
    assert choose(curves, B, 0.0).tolist() == [2, 2]
    assert choose(curves, B, 0.5).tolist() == [2, 0]
    assert choose(curves, B, 4.0).tolist() == [1, 0]
    assert choose(curves, B, 100.0).tolist() == [0, 0]
    assert choose(np.ones((1, 3)), B, 0.0).tolist() == [0]


@deterministic
@given(arrays(np.float64, (12, 3), elements=st.floats(0, 5, width=32)), st.floats(1, 5))
def test_no_price_comes_nearer_to_the_mean(curves, mean):
    price = price_meeting(curves, B, mean)
    short = abs(B[choose(curves, B, price)].mean() - mean)
    tries = np.concatenate([np.linspace(-12, 12, 201), [-1e3, 1e3]])
    assert all(short <= abs(B[choose(curves, B, p)].mean() - mean) + 1e-9 for p in tries)


def test_on_the_true_curves_it_is_the_oracle():
    rng = np.random.default_rng(0)
    curves = rng.random((200, 1)) * np.exp(-B / rng.uniform(1, 5, (200, 1)))
    chosen = choose(curves, B, price_meeting(curves, B, 2.5))
    assert (chosen == oracle_allocation(curves, B, B[chosen].mean())).all()
    reached = curves[np.arange(200), chosen].mean()
    assert reached == pytest.approx(oracle_curve(curves, B).at(B[chosen].mean()), rel=1e-12)


@pytest.mark.parametrize("mean", [0.9, 5.1, float("nan")])
def test_a_mean_outside_the_budgets_is_refused(mean):
    with pytest.raises(UserError, match="1 to 5"):
        price_meeting(np.ones((2, 3)), B, mean)
