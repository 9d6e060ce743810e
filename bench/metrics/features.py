"""Reading feature arrays in blocks of rows."""

from collections.abc import Iterator

import numpy as np


def row_blocks(features: np.ndarray, size: int) -> Iterator[np.ndarray]:
    """Float64 copies of up to `size` rows of `[n, d]` at a time; memory-mapped arrays stay on disk.

    Raises:
        ValueError: values that are not finite.
    """
    for start in range(0, len(features), size):
        rows = np.array(features[start : start + size], dtype=np.float64)
        if not np.isfinite(rows).all():
            raise ValueError(f"values that are not finite in feature rows {start} and following")
        yield rows
