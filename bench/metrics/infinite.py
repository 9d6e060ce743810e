"""Fréchet distance extrapolated to infinitely many images."""

import math
from dataclasses import dataclass

import numpy as np

from bench.metrics.features import FeatureRows, TakenRows
from bench.metrics.frechet import frechet_distance, gaussian_statistics

SIZES = 8
SMALLEST_SHARE = 0.5


@dataclass(frozen=True)
class Extrapolation:
    """A line through distances of subsets over 1/n: where it meets 0, with that value's standard
    error from the scatter about the line, and its slope."""

    intercept: float
    standard_error: float
    slope: float


def subset_sizes(n: int) -> np.ndarray:
    """Sizes of subsets of n images, from half of them to all, evenly spaced in 1/n."""
    return np.round(n / np.linspace(1 / SMALLEST_SHARE, 1, SIZES)).astype(int)


def frechet_infinite(a: FeatureRows, b: FeatureRows, *, seed: int = 0) -> Extrapolation:
    """The Fréchet distance of features `[n, d]` for n to infinity (Chong & Forsyth 2020).

    Distances are biased in proportion to 1/n, by a factor that depends on the features. Subsets are
    drawn without replacement and take the same rows of both sides: the distance of paired images
    has a factor of its own. The standard error tells how well the line fits; subsets overlap, so it
    is less than the spread over new images.

    Raises:
        ValueError: the sides differ in shape, or half the rows are not more than the dimension, so
            that covariances of subsets would be singular and not on a line.
    """
    n, d = a.shape
    if a.shape != b.shape:
        raise ValueError(f"expected features of the same images, not {a.shape} and {b.shape}")
    if n < smallest_count(d):
        raise ValueError(f"needs {smallest_count(d)} feature vectors of {d} values, not {n}")
    rng = np.random.default_rng(seed)
    sizes = subset_sizes(n)
    distances = []
    for size in sizes:
        rows = np.sort(rng.choice(n, size, replace=False))
        parts = (gaussian_statistics(TakenRows(side, rows)) for side in (a, b))
        distances.append(frechet_distance(*parts))
    return _line(1 / sizes, np.array(distances))


def smallest_count(dimension: int) -> int:
    """How many images an extrapolation needs."""
    return max(math.ceil((dimension + 1) / SMALLEST_SHARE), 2 * SIZES)


def _line(x: np.ndarray, y: np.ndarray) -> Extrapolation:
    design = np.stack([np.ones_like(x), x], axis=1)
    (intercept, slope), *_ = np.linalg.lstsq(design, y)
    variance = np.square(y - design @ [intercept, slope]).sum() / (len(x) - 2)
    errors = variance * np.linalg.inv(design.T @ design).diagonal()
    return Extrapolation(float(intercept), float(np.sqrt(errors[0])), float(slope))
