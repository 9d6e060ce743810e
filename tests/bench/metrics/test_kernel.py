import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.metrics import kernel
from bench.metrics.kernel import KernelReference, kernel_distance


def samples(n, d, seed):
    return np.random.default_rng(seed).standard_normal((n, d))


def by_definition(a, b, degree, gamma, coef0):
    def mean(x, y, distinct):
        values = [
            (gamma * float(p @ q) + coef0) ** degree
            for i, p in enumerate(x)
            for j, q in enumerate(y)
            if not (distinct and i == j)
        ]
        return sum(values) / len(values)

    return mean(a, a, True) + mean(b, b, True) - 2 * mean(a, b, False)


@settings(deadline=None, derandomize=True, max_examples=40)
@given(
    n=st.integers(2, 9),
    m=st.integers(2, 9),
    block=st.integers(1, 10),
    degree=st.integers(1, 4),
    gamma=st.sampled_from([0.1, 1.0]),
    coef0=st.sampled_from([0.0, 1.5]),
)
def test_agrees_with_the_definition(n, m, block, degree, gamma, coef0):
    a, b = samples(n, 3, n), samples(m, 3, 50 + m)
    options = {"degree": degree, "gamma": gamma, "coef0": coef0}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kernel, "_BLOCK", block)
        value = kernel_distance(a, b, **options)
    assert value == pytest.approx(by_definition(a, b, **options), rel=1e-9, abs=1e-9)


def test_gamma_is_one_over_the_dimension_by_default():
    a, b = samples(6, 4, 0), samples(5, 4, 1)
    assert kernel_distance(a, b) == kernel_distance(a, b, degree=3, gamma=0.25, coef0=1.0)


def test_unbiased_on_equal_distributions_and_positive_on_different_ones():
    values = [kernel_distance(samples(50, 4, i), samples(40, 4, 1000 + i)) for i in range(300)]
    standard_error = np.std(values) / np.sqrt(len(values))
    assert abs(np.mean(values)) < 3 * standard_error
    assert kernel_distance(samples(200, 4, 0), samples(200, 4, 1) + 1) > 10 * np.std(values)


def test_symmetric_and_the_reference_is_reusable():
    a, b, c = samples(20, 5, 0), samples(30, 5, 1), samples(25, 5, 2) * 2
    reference = KernelReference(a)
    for other in (b, c, b):
        assert reference.distance(other) == kernel_distance(a, other)
        assert kernel_distance(other, a) == pytest.approx(kernel_distance(a, other), rel=1e-9)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (np.zeros((3, 4)), "dimensions differ: 5 and 4"),
        (np.zeros((1, 5)), "at least 2"),
        (np.full((3, 5), np.nan), "not finite"),
    ],
)
def test_bad_features_are_refused(other, message):
    with pytest.raises(ValueError, match=message):
        KernelReference(samples(4, 5, 0)).distance(other)
