"""Batches of training images: a sample is a function of (seed, epoch, index), whoever makes it.

So a training goes on from any step, and comes out the same with any number of workers.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from adatok_core.batches import batch_epochs, batch_indices
from adatok_core.ranks import Ranks
from bench.data.augment import Augment, cropped, draws_of, flipped
from bench.data.decoding import square
from bench.data.sources.lazy import LazyPixels, PixelArray
from bench.errors import UserError

Request = tuple[Tensor, Tensor]  # indices and epochs, `[b]` each


class TrainingImages(Dataset[Tensor | str]):
    """Images as a training sees them.

    Args:
        pixels: the images; crops other than the centre take those that stay in their files.
        augment: how they vary from epoch to epoch.
        seed: of the variation.
        cache_bytes: as many of decoded images are kept, by each process.
    """

    def __init__(
        self, pixels: PixelArray, *, augment: Augment | None, seed: int, cache_bytes: int = 0
    ):
        self.pixels, self.augment, self.seed = pixels, augment, seed
        self.cache_bytes = cache_bytes
        self._cache: dict[int, Image.Image] = {}

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, request: Request) -> Tensor | str:
        """The images of a request, or the words of a UserError, which cross processes whole."""
        try:
            return self.batch(*request)
        except UserError as error:
            return str(error)

    def batch(self, indices: Tensor, epochs: Tensor) -> Tensor:
        """Images uint8 `[b, 3, R, R]` as they are seen in their epochs."""
        numbers = indices.numpy()
        if isinstance(self.pixels, LazyPixels):
            draws = draws_of(self.seed, epochs.numpy(), numbers)
            images = np.stack(
                [self._read(*one) for one in zip(numbers.tolist(), draws, strict=True)]
            )
        else:
            images = np.asarray(self.pixels[numbers])
            if self.augment:  # Of these, flips alone.
                draws = draws_of(self.seed, epochs.numpy(), numbers)
                images = np.stack([flipped(*one) for one in zip(images, draws, strict=True)])
        return torch.from_numpy(images)

    def _read(self, index: int, draws: np.ndarray) -> np.ndarray:
        side = self.pixels.shape[-1]
        image = self._decoded(index)
        if self.augment is None:
            return square(image, resolution=side)
        if self.augment.crop == "centre":
            found = square(image, resolution=side)
        else:
            found = cropped(image, self.augment, draws, resolution=side)
        return flipped(found, draws) if self.augment.flip else found

    def _decoded(self, index: int) -> Image.Image:
        assert isinstance(self.pixels, LazyPixels)
        found = self._cache.get(index)
        if found is None:
            found = self.pixels.images.decoded(self.pixels.span[index])
            self.cache_bytes -= 3 * found.width * found.height
            if self.cache_bytes >= 0:
                self._cache[index] = found
        return found


def stream_of(
    images: TrainingImages,
    *,
    steps: int,
    batch: int,
    accumulate: int,
    seed: int,
    workers: int = 0,
    prefetch: int = 2,
    pinned: bool = False,
) -> Callable[[int], Iterator[Tensor]]:
    """`stream(step)` gives this rank's part of a training's micro-batches from a step on, in order.

    `workers` processes make them, `prefetch` each in advance, into `pinned` memory for a GPU.
    """

    mine = Ranks.here().places(batch, parts=accumulate)

    def requests(first: int) -> Iterator[Request]:
        for step in range(first, steps):
            indices = batch_indices(step, count=len(images), batch=batch, seed=seed)[mine]
            epochs = batch_epochs(step, count=len(images), batch=batch)[mine]
            yield from zip(indices.chunk(accumulate), epochs.chunk(accumulate), strict=True)

    def stream(first: int) -> Iterator[Tensor]:
        loader: DataLoader[Tensor | str] = DataLoader(
            images,
            sampler=requests(first),
            batch_size=None,
            num_workers=workers,
            prefetch_factor=prefetch if workers else None,
            collate_fn=_as_it_is,
            pin_memory=pinned,
        )
        with warnings.catch_warnings():  # Of threads, none of which the workers touch.
            warnings.simplefilter("ignore", DeprecationWarning)
            found = iter(loader)
        for part in found:
            if isinstance(part, str):
                raise UserError(part)
            yield part

    return stream


def _as_it_is(part: Any) -> Any:
    return part
