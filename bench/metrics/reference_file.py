"""References that come as a file: statistics of features, or images, in an npz.

ADM's reference batches (Dhariwal & Nichol 2021) have `mu [d]` and `sigma [d, d]` of Inception's
features, and images in `arr_0`. Nothing is unpickled.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch

from bench.errors import UserError
from bench.files import open_regular
from bench.metrics.extraction import BuiltExtractor
from bench.metrics.frechet import GaussianStatistics, gaussian_statistics

MEAN, COVARIANCE, IMAGES = "mu", "sigma", "arr_0"
# Statistics do not tell of how many images they are.
UNTOLD = int(np.iinfo(np.int64).max)


def reference_statistics(
    path: str,
    extractor: BuiltExtractor,
    *,
    batch: int,
    device: str,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> GaussianStatistics:
    """Statistics of the file's reference in the features of `extractor`.

    They are read where the file has them; else its images, uint8 `[n, H, W, 3]`, go through the
    network, `batch` of them at a time in memory; `progress(done, total)` hears of these.

    Raises:
        UserError: the file is no such npz, or its statistics are not of these features.
    """
    try:
        with open_regular(Path(path)) as file:
            arrays = np.load(file, allow_pickle=False)
            if not isinstance(arrays, np.lib.npyio.NpzFile):
                raise ValueError("is one array")
            if {MEAN, COVARIANCE} <= {*arrays.files}:
                return _given(arrays[MEAN], arrays[COVARIANCE])
            if IMAGES not in arrays.files:
                raise ValueError(f"has neither {MEAN} and {COVARIANCE} nor {IMAGES}")
            return gaussian_statistics(_features(file, extractor, batch, device, progress))
    except OSError as error:
        raise _refused(path, f"cannot be read ({error.strerror or error})") from None
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        raise _refused(path, str(error)) from None


def _refused(path: str, reason: str) -> UserError:
    return UserError(
        f"generation.reference.file: {path}: {reason}; give an npz with {MEAN} and {COVARIANCE}, "
        f"or with images in {IMAGES}"
    )


def _given(mean: np.ndarray, covariance: np.ndarray) -> GaussianStatistics:
    size = mean.size
    if mean.shape != (size,) or covariance.shape != (size, size):
        raise ValueError(f"{MEAN} {mean.shape} and {COVARIANCE} {covariance.shape} do not fit")
    mean, covariance = mean.astype(np.float64), covariance.astype(np.float64)
    if not (np.isfinite(mean).all() and np.isfinite(covariance).all()):
        raise ValueError(f"{MEAN} or {COVARIANCE} has values that are not finite")
    return GaussianStatistics(mean, (covariance + covariance.T) / 2, UNTOLD)


def _features(
    npz: BinaryIO,
    extractor: BuiltExtractor,
    batch: int,
    device: str,
    progress: Callable[[int, int], None],
) -> np.ndarray:
    """Features `[n, d]` of the images."""
    found = []
    with zipfile.ZipFile(npz) as archive, archive.open(f"{IMAGES}.npy") as file:
        shape = _shape(file)
        done = 0
        for block in _blocks(file, shape, batch):
            images = torch.from_numpy(block).permute(0, 3, 1, 2).contiguous().to(device)
            with torch.inference_mode():
                found.append(extractor.features(images).cpu().numpy())
            done += len(block)
            progress(done, shape[0])
    return np.concatenate(found)


def _shape(file: Any) -> tuple[int, ...]:
    """The shape that the header of a stored array tells."""
    version = np.lib.format.read_magic(file)
    read = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }.get(version)
    if read is None:
        raise ValueError(f"{IMAGES} is an array of format {version}")
    shape, fortran, dtype = read(file)
    if dtype != np.uint8 or len(shape) != 4 or shape[3] != 3 or fortran or shape[0] < 2:
        raise ValueError(f"{IMAGES} {shape} {dtype} is not two or more uint8 images [n, H, W, 3]")
    return tuple(shape)


def _blocks(file: Any, shape: tuple[int, ...], batch: int) -> Iterator[np.ndarray]:
    count, *rest = shape
    size = int(np.prod(rest))
    for first in range(0, count, batch):
        number = min(batch, count - first)
        data = file.read(number * size)
        if len(data) < number * size:
            raise ValueError(f"{IMAGES} is truncated")
        yield np.frombuffer(bytearray(data), np.uint8).reshape(number, *rest)
