"""Samples of images by class: as many of each class as its share says."""

from __future__ import annotations

import numpy as np


def stratified(labels: np.ndarray, count: int, *, seed: int) -> np.ndarray:
    """Rows `[count]` of images with these `labels [n]`, drawn by `seed`, without replacement.

    A class has its proportional number of images or one more or less; those that would have none
    come first where there is one left over. The order spreads each class evenly, so that a
    beginning of the rows is such a sample of them too, but for rounding.

    Raises:
        ValueError: there are fewer than `count` images.
    """
    if count > len(labels):
        raise ValueError(f"{count} images of {len(labels)}")
    rng = np.random.default_rng(seed)
    _, classes, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    counts = _counts(sizes, count, rng)
    shuffled = rng.permutation(len(labels))
    by_class = np.split(
        shuffled[np.argsort(classes[shuffled], kind="stable")], np.cumsum(sizes)[:-1]
    )
    # Where in 0..1 the images of a class lie; else those of classes of one size fell together.
    offsets = (rng.permutation(len(sizes)) + 0.5) / len(sizes)
    rows = np.concatenate([rows[:k] for rows, k in zip(by_class, counts, strict=True)])
    places = [
        (np.arange(k) + offset) / max(k, 1) for k, offset in zip(counts, offsets, strict=True)
    ]
    order: np.ndarray = rows[np.argsort(np.concatenate(places), kind="stable")]
    return order


def _counts(sizes: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Images of each class out of its size: proportional, the largest remainders rounded up."""
    wanted = sizes * (count / sizes.sum())
    counts: np.ndarray = np.floor(wanted + 1e-9).astype(np.int64)
    ties = rng.permutation(len(sizes))
    first = np.lexsort((ties, counts - wanted, counts > 0))
    counts[first[: count - counts.sum()]] += 1
    return counts
