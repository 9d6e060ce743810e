"""How the codes of a bank's ids are used, counted block by block."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from bench.artifacts.decodings import Facts

BLOCK = 4096
# Counts that are kept as a table of all codes at all positions: 256 MiB of them.
MOST_DENSE = 2**26


def codebook_of(facts: Facts, ids: np.ndarray) -> dict[str, Any] | None:
    """Use of the codes that ids `[n, N]` are made of; None where codes are not known."""
    if facts.code_sizes is None:
        return None
    counts = CodeCounts(facts.code_sizes, ids.shape[1])
    for first in range(0, len(ids), BLOCK):
        block = torch.from_numpy(ids[first : first + BLOCK].astype(np.int64))
        counts.add(facts.codes(block).numpy())
    return counts.use()


class CodeCounts:
    """How often each code occurs at each of so many positions; a token is `Q` codes of `sizes`."""

    def __init__(self, sizes: Sequence[int], positions: int):
        self.sizes = tuple(sizes)
        self._kept: list[list[_Counts]] = [
            [_counts_of(size, positions) for _ in range(positions)] for size in self.sizes
        ]

    def add(self, codes: np.ndarray) -> None:
        """Count codes `[B, N, Q]`."""
        for part, positions in enumerate(self._kept):
            for position, counts in enumerate(positions):
                counts.add(codes[:, position, part])

    def use(self) -> dict[str, Any]:
        """Share of codes used and entropy in bits: together and per position.

        Where a token is several codes (residual quantization), usage is their mean, entropy their
        sum.
        """
        positions = [_use(self.sizes, counts) for counts in zip(*self._kept, strict=True)]
        usage, bits = _use(self.sizes, [_joined(counts) for counts in self._kept])
        return {
            "usage": usage,
            "entropy_bits": bits,
            "usage_by_position": [usage for usage, _ in positions],
            "entropy_bits_by_position": [bits for _, bits in positions],
        }


class _Counts:
    """Occurrences of codes, those that there are alone: `codes [c]`, increasing, `counts [c]`."""

    def __init__(self) -> None:
        self.codes, self.counts = np.empty(0, np.int64), np.empty(0, np.int64)

    def add(self, codes: np.ndarray) -> None:
        self.merge(*np.unique(codes, return_counts=True))

    def merge(self, codes: np.ndarray, counts: np.ndarray) -> None:
        self.codes, places = np.unique(np.concatenate([self.codes, codes]), return_inverse=True)
        together = np.concatenate([self.counts, counts])
        self.counts = np.zeros(len(self.codes), np.int64)
        np.add.at(self.counts, places, together)

    def found(self) -> tuple[np.ndarray, np.ndarray]:
        return self.codes, self.counts


class _Table(_Counts):
    """The same by a table of all codes."""

    def __init__(self, size: int) -> None:
        self.counts = np.zeros(size, np.int32)

    def add(self, codes: np.ndarray) -> None:
        self.counts += np.bincount(codes, minlength=len(self.counts)).astype(np.int32)

    def found(self) -> tuple[np.ndarray, np.ndarray]:
        codes = np.flatnonzero(self.counts)
        return codes, self.counts[codes].astype(np.int64)


def _counts_of(size: int, positions: int) -> _Counts:
    return _Table(size) if size * positions <= MOST_DENSE else _Counts()


def _joined(positions: Sequence[_Counts]) -> _Counts:
    joined = _Counts()
    for counts in positions:
        joined.merge(*counts.found())
    return joined


def _use(sizes: Sequence[int], parts: Sequence[_Counts]) -> tuple[float, float]:
    """Usage and bits of the parts of a token."""
    usage, bits = [], 0.0
    for size, part in zip(sizes, parts, strict=True):
        _, counts = part.found()
        share = counts / counts.sum()
        usage.append(len(counts) / size)
        bits -= float((share * np.log2(share)).sum())
    return float(np.mean(usage)), bits
