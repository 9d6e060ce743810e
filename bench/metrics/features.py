"""Reading feature arrays in blocks of rows."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

# A row that is read can bring 2 MiB of its file into resident memory.
ROWS_PER_MAP = 256


class FeatureRows(Protocol):
    """Features `[n, d]`: an array, or rows that are read when they are looked at."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The two sizes."""

    def __len__(self) -> int: ...

    def __getitem__(self, key: Any, /) -> Any: ...


@dataclass(frozen=True, eq=False)
class TakenRows:
    """The rows `[k]` of features, as features `[k, d]`; nothing is read before it is looked at."""

    features: FeatureRows
    rows: np.ndarray

    @property
    def shape(self) -> tuple[int, ...]:
        """The two sizes."""
        return len(self.rows), self.features.shape[1]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, key: Any, /) -> Any:
        return self.features[self.rows[key]]


@dataclass(frozen=True, eq=False)
class ChosenFeatures:
    """Features `[n, d]` of images at the column that was `chosen [n]` for each, out of `[n, M, d]`.

    `open_features` is called again and again: a memory map that is opened anew keeps no pages of
    earlier rows, so that what is resident does not grow with n.
    """

    open_features: Callable[[], np.ndarray]
    chosen: np.ndarray

    @property
    def shape(self) -> tuple[int, ...]:
        """The two sizes."""
        return len(self.chosen), self.open_features().shape[2]

    def __len__(self) -> int:
        return len(self.chosen)

    def __getitem__(self, key: Any, /) -> Any:
        rows = np.arange(len(self.chosen))[key]
        parts = [rows[at : at + ROWS_PER_MAP] for at in range(0, len(rows), ROWS_PER_MAP)]
        return np.concatenate(
            [self.open_features()[part, self.chosen[part]] for part in parts or [rows]]
        )

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        found: np.ndarray = self[:]
        return found if dtype is None else found.astype(dtype)


def row_blocks(features: FeatureRows, size: int) -> Iterator[np.ndarray]:
    """Float64 copies of up to `size` rows of `[n, d]` at a time; memory-mapped arrays stay on disk.

    Raises:
        ValueError: values that are not finite.
    """
    for start in range(0, len(features), size):
        rows = np.array(features[start : start + size], dtype=np.float64)
        if not np.isfinite(rows).all():
            raise ValueError(f"values that are not finite in feature rows {start} and following")
        yield rows
