"""A figure of pictures: its only axes are its inches."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from reports.paper.drawing import new_figure, wrapped
from reports.paper.style import width_inches

PICTURE_SHARE = 0.97  # of its place; the rest is the gap


@dataclass(frozen=True)
class Sheet:
    """A figure whose only axes are its inches, from the upper left corner."""

    figure: Any
    axes: Any

    @staticmethod
    def of(height: float, *, title: str) -> Sheet:
        """A sheet of the style's width with a line at its top."""
        figure = new_figure(height)
        figure.set_layout_engine("none")
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set(xlim=(0, width_inches()), ylim=(height, 0))
        axes.set_axis_off()
        sheet = Sheet(figure, axes)
        line = wrapped(title, width_inches() - 0.2)
        sheet.text(width_inches() / 2, 0.04, line, va="top", size=7)
        return sheet

    def picture(self, pixels: np.ndarray, x: float, y: float, side: float) -> None:
        """A picture uint8 `[H, W, 3]` with its upper left corner at (x, y)."""
        edge = side * PICTURE_SHARE
        style = {"interpolation": "nearest", "aspect": "auto", "zorder": 1}
        self.axes.imshow(pixels, extent=(x, x + edge, y + edge, y), **style)

    def text(
        self, x: float, y: float, text: str, *, size: float, ha: str = "center", va: str = "center"
    ) -> None:
        """Text at (x, y)."""
        self.axes.text(x, y, text, ha=ha, va=va, fontsize=size, linespacing=1.1)


def file_names(stem: str, labels: Sequence[str]) -> list[str]:
    """`gallery-elastic-lora.rank-8` for each label; equal names are told apart by a number."""
    names: list[str] = []
    for label in labels:
        words = re.sub(r"[^A-Za-z0-9._]+", "-", label).strip("-._")[:80]
        name = f"{stem}-{words}" if words else stem
        count = 2
        while name in names:
            name = f"{stem}-{words}-{count}" if words else f"{stem}-{count}"
            count += 1
        names.append(name)
    return names
