"""Measured runs of decoding as the rows of a record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from bench.speed.decode_timing import spread


@dataclass(frozen=True, kw_only=True)
class Timed:
    """One run: `images` with `tokens` ids together, decoded in `seconds`, their pixels in more.

    `occupancy` is the share of the slots' steps that made a token that was needed. What an ideal
    run would come to has no memory and no first image.
    """

    images: int
    tokens: int
    seconds: float
    pixel_seconds: float = 0.0
    first_image_seconds: float | None = None
    peak_memory_bytes: int | None = None
    pixel_peak_memory_bytes: int | None = None
    occupancy: float = 1.0

    def total(self, *, pixels: bool) -> float:
        """Seconds, with the pixels or without."""
        return self.seconds + (self.pixel_seconds if pixels else 0.0)

    def images_per_second(self, *, pixels: bool) -> float:
        """Rate of the whole run."""
        return self.images / self.total(pixels=pixels)


def together(runs: Sequence[Timed]) -> Timed:
    """Runs of the same work as their mean; the first image is the first run's."""
    return replace(
        runs[0],
        seconds=float(np.mean([one.seconds for one in runs])),
        peak_memory_bytes=_largest(runs, pixels=False),
    )


@dataclass(frozen=True, kw_only=True)
class Beside:
    """Runs that a run is set against: all tokens, and its images at the cost of a step there."""

    fixed: Timed
    ideal: Timed


@dataclass(frozen=True)
class Arms:
    """The rounds: `whole` is all that a round has of the fixed arm, and the ideal at its cost.

    `modes` are the adaptive runs by mode, and `beside` what stood right before and behind each.
    """

    whole: list[Beside] = field(default_factory=list)
    modes: dict[str, list[Timed]] = field(default_factory=dict)
    beside: dict[str, list[Beside]] = field(default_factory=dict)

    def rows(self, *, pixels: bool) -> list[dict[str, Any]]:
        """A row per arm and mode.

        `ratio` is the adaptive rate over the fixed one, `of_ideal` over the ideal one, each the
        median over rounds of what stood side by side; `ratio_quartiles` are its quartiles.
        """
        fixed, ideal = ([getattr(one, side) for one in self.whole] for side in ("fixed", "ideal"))
        return [
            self._row("fixed", "padded", fixed, self.whole, pixels),
            self._row("adaptive", "ideal", ideal, self.whole, pixels),
            *(
                self._row("adaptive", mode, self.modes[mode], self.beside[mode], pixels)
                for mode in self.modes
            ),
        ]

    def _row(
        self, arm: str, mode: str, runs: list[Timed], beside: list[Beside], pixels: bool
    ) -> dict[str, Any]:
        rates = np.array([one.images_per_second(pixels=pixels) for one in runs])
        fixed, ideal = (
            np.array([getattr(one, side).images_per_second(pixels=pixels) for one in beside])
            for side in ("fixed", "ideal")
        )
        ratio = spread(rates / fixed)
        tokens = [one.tokens / one.total(pixels=pixels) for one in runs]
        return {
            "arm": arm,
            "mode": mode,
            "pixels": pixels,
            "images": runs[0].images,
            "images_per_second": spread(rates),
            "tokens_per_second": spread(tokens),
            "ratio": ratio["median"],
            "ratio_quartiles": [ratio["quartile_low"], ratio["quartile_high"]],
            "of_ideal": None if arm == "fixed" else float(np.median(rates / ideal)),
            "occupancy": runs[0].occupancy,
            "first_image_seconds": _median([one.first_image_seconds for one in runs]),
            "peak_memory_bytes": _largest(runs, pixels),
        }


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.median(known)) if len(known) == len(values) else None


def _largest(runs: Sequence[Timed], pixels: bool) -> int | None:
    peaks = [one.peak_memory_bytes for one in runs]
    peaks += [one.pixel_peak_memory_bytes for one in runs if pixels]
    known = [peak for peak in peaks if peak is not None]
    return max(known) if len(known) == len(peaks) else None
