"""Differences to a result that has no seed, such as that of a tokenizer that is not trained here.

No seed pairs the two sides, their images do: an interval is over images. Where the other side has
several seeds, a difference counts as shown only where it is shown over these, too.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from bench.compare.paired import Difference, difference
from bench.records.groups import is_policy, repetition_name
from bench.records.per_image import image_differences
from bench.records.record import Record
from bench.statistics.bootstrap import BootstrapInterval, paired_bootstrap

Stored = tuple[Record, Path]  # A record, and the store that its table's path starts from.


def is_unseeded(record: Record) -> bool:
    """Whether nothing was trained for its result: neither the tokenizer nor a policy."""
    return record.config.trained_here is None and not is_policy(record)


def mean_image_differences(
    ours: Mapping[Any, Sequence[Stored]], theirs: Stored, metric: str, budget: int | None = None
) -> np.ndarray | None:
    """Per image, the mean over seeds of our metric minus theirs, `[n]`.

    Cells of one seed are averaged first. None where a cell has no such values.

    Raises:
        DamagedError: a table of them is damaged, or gone.
    """
    try:
        by_seed = [
            np.mean([image_differences(theirs, cell, metric, budget) for cell in cells], axis=0)
            for cells in ours.values()
        ]
    except ValueError:
        return None
    if not by_seed:
        return None
    mean: np.ndarray = np.mean(by_seed, axis=0)
    return mean if len(mean) > 1 and np.isfinite(mean).all() else None


def to_unseeded(
    ours: Mapping[Any, float],
    theirs: float,
    images: np.ndarray | None,
    *,
    path: str,
    higher_is_better: bool,
    seed: int = 0,
) -> Difference:
    """Our finite values by seed minus one value that has no seed.

    `images` are the differences of each image, `[n]`, moved to the mean of the values; None where
    they are not known, as of a Fréchet distance. `path` is the seed's, for words; `seed` is of the
    bootstrap.
    """
    found = difference(ours, dict.fromkeys(ours, theirs), higher_is_better=higher_is_better)
    if found.interval is None:
        return found
    several, name = len(found.seeds) > 1, repetition_name(path)
    if images is None:
        alone = f"one {name.removesuffix('s')}, and no values by image: no interval"
        return found if several else replace(found, reason=alone)
    over = bootstrapped(images + (found.interval.mean - images.mean()), seed)
    if not several:
        return replace(found, interval=over, p=over.p, reason="")
    return replace(found, interval=over, over_seeds=found.interval, p=max(over.p, found.p))


def bootstrapped(values: np.ndarray, seed: int = 0) -> BootstrapInterval:
    """`paired_bootstrap`, computed once for values that are asked for again."""
    return _bootstrapped(np.ascontiguousarray(values, dtype=np.float64).tobytes(), seed)


@functools.lru_cache(maxsize=64)
def _bootstrapped(values: bytes, seed: int) -> BootstrapInterval:
    return paired_bootstrap(np.frombuffer(values), np.random.default_rng(seed))
