"""Hypervolume of points in the plane, both coordinates larger-is-better."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike


def hypervolume(points: ArrayLike, reference: ArrayLike) -> float:
    """Area that `points [K, 2]` dominate above `reference [2]`; no points have none.

    Points are clipped to the reference first: one that is below it in a coordinate has no area,
    whatever the other coordinate. Raises `ValueError` for coordinates that are not finite.
    """
    reference = np.asarray(reference, dtype=np.float64)
    points = np.asarray(points, dtype=np.float64).reshape(-1, 2)
    if not (np.isfinite(points).all() and np.isfinite(reference).all()):
        raise ValueError("hypervolume: the points and the reference must be finite")
    width, height = (np.maximum(points, reference) - reference).T
    # From right to left, the higher first among equals: a point adds what it rises above the rest.
    order = np.lexsort((-height, -width))
    rises = np.diff(np.maximum.accumulate(height[order]), prepend=0.0)
    # An exactly rounded sum: a dominated point, whose rise is 0, changes not a bit.
    return math.fsum(width[order] * rises)
