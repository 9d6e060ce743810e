"""Images that are decoded when they are looked at, with the manners of an array."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np

from bench.data.sources.located import LocatedImages


class PixelArray(Protocol):
    """Pixels uint8 `[n, 3, H, W]`: in an array, or decoded when they are looked at."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The four sizes."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """uint8."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Any]: ...

    def __getitem__(self, key: Any, /) -> Any: ...


class LazyPixels:
    """A view of located images. One image, or those of an array of numbers, are decoded; a slice is
    a view, of which `np.array` decodes all."""

    dtype: np.dtype[Any] = np.dtype(np.uint8)

    def __init__(self, images: LocatedImages, span: range | None = None):
        self.images = images
        self.span = range(len(images)) if span is None else span

    @property
    def shape(self) -> tuple[int, ...]:
        """The four sizes."""
        side = self.images.resolution
        return len(self.span), 3, side, side

    def __len__(self) -> int:
        return len(self.span)

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, slice):
            return LazyPixels(self.images, self.span[key])
        if isinstance(key, int | np.integer):
            return self.images.read(self.span[int(key)])
        numbers = np.asarray(key)
        if numbers.dtype == bool:
            numbers = np.flatnonzero(numbers)
        return self._decoded(self.span[int(number)] for number in numbers)

    def __iter__(self) -> Iterator[np.ndarray]:
        return map(self.images.read, self.span)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        found = self._decoded(self.span)
        return found if dtype is None else found.astype(dtype)

    def _decoded(self, numbers: Any) -> np.ndarray:
        read = [self.images.read(number) for number in numbers]
        return np.stack(read) if read else np.empty((0, *self.shape[1:]), np.uint8)


class TakenPixels:
    """The rows of an image array, as an array of them alone; a slice is a view, of which `np.array`
    reads all."""

    dtype: np.dtype[Any] = np.dtype(np.uint8)

    def __init__(self, pixels: PixelArray, rows: np.ndarray):
        self.pixels, self.rows = pixels, rows

    @property
    def shape(self) -> tuple[int, ...]:
        """The four sizes."""
        return len(self.rows), *self.pixels.shape[1:]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, slice):
            return TakenPixels(self.pixels, self.rows[key])
        return self.pixels[self.rows[key]]

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self.pixels[row] for row in self.rows)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        found = np.asarray(self.pixels[self.rows])
        return found if dtype is None else found.astype(dtype)
