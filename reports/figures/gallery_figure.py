"""Pictures in rows and columns, each with its tokens and PSNR."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bench.artifacts.gallery import ORIGINAL, Gallery
from reports.paper.drawing import new_figure, wrapped
from reports.paper.style import width_inches

COLUMNS = ["system", "row", "column", "id", "group", "tokens", "psnr", "complexity", "png_bytes"]
LABEL_INCHES, TITLE_INCHES, LARGEST_INCHES = 0.62, 0.46, 0.75
PICTURE_SHARE = 0.97  # of its place; the rest is the gap


def gallery_data(system: str, gallery: Gallery) -> pd.DataFrame:
    """A row per picture drawn; see `COLUMNS`."""
    rows = [
        (system, number, column, row.id, row.group, tokens, psnr, row.complexity, row.png_bytes)
        for number, row in enumerate(gallery.rows)
        for column, tokens, psnr in zip(gallery.columns, row.tokens, row.psnr, strict=True)
    ]
    data = pd.DataFrame(rows, columns=COLUMNS)
    return data.astype({"tokens": float, "psnr": float, "complexity": float, "png_bytes": float})


def draw(data: pd.DataFrame, pixels: np.ndarray) -> Any:
    """The figure: a row per image, a column per budget, PSNR beneath.

    Args:
        data: by `gallery_data`.
        pixels: the pictures, uint8 `[G, K, H, W, 3]`.
    """
    count, names = data["row"].nunique(), list(data["column"].unique())
    generated = ORIGINAL not in names
    side = min((width_inches() - LABEL_INCHES) / len(names), LARGEST_INCHES)
    caption = 0.13 if data["psnr"].notna().any() or generated else 0.02
    sheet = Sheet.of(count * (side + caption) + TITLE_INCHES, title=data["system"].iloc[0])
    left = (width_inches() - LABEL_INCHES - side * len(names)) / 2 + LABEL_INCHES
    for row, here in data.groupby("row"):
        top = TITLE_INCHES + row * (side + caption)
        sheet.text(left - 0.05, top + side / 2, _about(here.iloc[0]), ha="right", size=5.5)
        for column, cell in enumerate(here.itertuples()):
            x = left + column * side
            sheet.picture(pixels[row, column], x, top, side)
            if row == 0 and not generated:
                sheet.text(x + side / 2, top - 0.03, _heading(cell), va="bottom", size=6)
            sheet.text(x + side / 2, top + side, _below(cell, generated), va="top", size=5)
    return sheet.figure


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


def _heading(cell: Any) -> str:
    if cell.column == ORIGINAL or pd.isna(cell.tokens):
        return cell.column
    return f"{cell.tokens:g} token" + ("" if cell.tokens == 1 else "s")


def _below(cell: Any, generated: bool) -> str:
    if generated:
        return "" if pd.isna(cell.tokens) else f"{cell.tokens:g} tokens"
    return "" if pd.isna(cell.psnr) else f"{cell.psnr:.1f} dB"


def _about(first: Any) -> str:
    """Beside a row: its group, or how complex the image is."""
    lines = [wrapped(first["group"], 0.6)] if first["group"] else []
    if pd.notna(first["complexity"]):
        number = first["complexity"]
        lines.append(f"{number:g} object" + ("" if number == 1 else "s"))
    if pd.notna(first["png_bytes"]):
        lines.append(f"{first['png_bytes']:g} B PNG")
    return "\n".join(lines)
