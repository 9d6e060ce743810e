import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.metrics.kernel import distance as kernel
from bench.metrics.kernel.distance import KernelReference


def samples(n, d, seed):
    return np.random.default_rng(seed).standard_normal((n, d))


def by_definition(a, b):
    def mean(x, y, distinct):
        values = [
            (float(p @ q) / a.shape[1] + 1) ** 3
            for i, p in enumerate(x)
            for j, q in enumerate(y)
            if not (distinct and i == j)
        ]
        return sum(values) / len(values)

    return mean(a, a, True) + mean(b, b, True) - 2 * mean(a, b, False)


@settings(deadline=None, derandomize=True, max_examples=40)
@given(n=st.integers(2, 9), m=st.integers(2, 9), block=st.integers(1, 10))
def test_agrees_with_the_definition(n, m, block):
    a, b = samples(n, 3, n), samples(m, 3, 50 + m)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kernel, "_BLOCK", block)
        value = KernelReference(a).distance(b)
    assert value == pytest.approx(by_definition(a, b), rel=1e-9, abs=1e-9)


def test_unbiased_on_equal_distributions_and_positive_on_different_ones():
    values = [
        KernelReference(samples(50, 4, i)).distance(samples(40, 4, 1000 + i)) for i in range(300)
    ]
    standard_error = np.std(values) / np.sqrt(len(values))
    assert abs(np.mean(values)) < 3 * standard_error
    assert KernelReference(samples(200, 4, 0)).distance(samples(200, 4, 1) + 1) > 10 * np.std(
        values
    )


def test_symmetric_and_the_reference_is_reusable():
    a, b, c = samples(20, 5, 0), samples(30, 5, 1), samples(25, 5, 2) * 2
    reference = KernelReference(a)
    for other in (b, c, b):
        assert reference.distance(other) == KernelReference(a).distance(other)
        assert KernelReference(other).distance(a) == pytest.approx(
            KernelReference(a).distance(other), rel=1e-9
        )


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
