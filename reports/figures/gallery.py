"""Galleries of reconstructions: images from simple to complex at every budget of a tokenizer.

Generators' galleries, which have no originals, are drawn as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bench.artifacts.gallery import ORIGINAL, Gallery, gallery_of
from bench.records.report_plugins import Figure, Report
from reports.analysis.groups import Group, Record, is_allocation, is_reconstruction, with_results
from reports.analysis.names import natural_groups
from reports.paper.drawing import render, wrapped
from reports.paper.sheet import Sheet, file_names
from reports.paper.style import width_inches
from reports.paper.text import page, unfinished

COLUMNS = ["system", "row", "column", "id", "group", "tokens", "psnr", "complexity", "png_bytes"]
LABEL_INCHES, TITLE_INCHES, LARGEST_INCHES = 0.62, 0.46, 0.75


def report(records: list[Record], folder: Path, *, store: Path) -> Report:
    """Draw `gallery-<tokenizer>.png`, `.pdf` and `.csv` for each tokenizer or generator.

    Of seeds the first one that has a gallery.
    """
    # Allocations show the images with the fewest and the most tokens: `figures.extremes`.
    done = [r for r in with_results(records) if not (is_reconstruction(r) and is_allocation(r))]
    found = list(_galleries(natural_groups(done), store))
    notes = unfinished(records)
    if not found:
        why = "Gallery: not drawn, no tokenizer's evaluation in the store has a gallery"
        return Report(text=page(why, notes))
    labels = [label for label, _ in found]
    shown = [(label, gallery, gallery_data(label, gallery)) for label, gallery in found]
    files = render_each(folder, "gallery", labels, shown, draw)
    alt = " ".join(_alt(*one) for one in shown)
    return Report(files, page(notes), "Images by number of tokens", alt)


def render_each(
    folder: Path,
    stem: str,
    labels: Sequence[str],
    shown: Sequence[tuple[str, Gallery, pd.DataFrame]],
    draw: Callable[[pd.DataFrame, np.ndarray], Any],
) -> list[Path]:
    """Files of a figure per gallery, called by these labels."""
    files: list[Path] = []
    for name, (_, gallery, data) in zip(file_names(stem, labels), shown, strict=True):
        files += render(folder, name, data, lambda d, g=gallery: draw(d, g.pixels))
    return files


def _galleries(groups: list[Group], store: Path) -> Iterator[tuple[str, Gallery]]:
    for group in groups:
        for record in group.records:
            gallery = gallery_of(record, store)
            if gallery is not None and len(gallery.rows):
                yield group.label, gallery
                break


def _alt(label: str, gallery: Gallery, data: pd.DataFrame) -> str:
    if ORIGINAL not in gallery.columns:
        return f"{label}: {len(gallery.rows)} rows of generated images."
    by_tokens = data.dropna(subset="psnr").groupby("tokens")["psnr"].mean()
    if by_tokens.empty:
        return f"{label}: {len(gallery.rows)} images beside their reconstructions."
    fewest, most = by_tokens.index.min(), by_tokens.index.max()
    return (
        f"{label}: {len(gallery.rows)} images from simple to complex, each beside its "
        f"reconstructions; their mean PSNR goes from {by_tokens[fewest]:.1f} dB at {fewest:g} "
        f"tokens to {by_tokens[most]:.1f} dB at {most:g}."
    )


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
    """A row per image of `gallery_data`, a column per budget; pixels uint8 `[G, K, H, W, 3]`."""
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
    lines = [wrapped(first.group, 0.6)] if first.group else []
    if pd.notna(first["complexity"]):
        number = first["complexity"]
        lines.append(f"{number:g} object" + ("" if number == 1 else "s"))
    if pd.notna(first["png_bytes"]):
        lines.append(f"{first['png_bytes']:g} B PNG")
    return "\n".join(lines)


REPORT = Figure(
    title="Images by number of tokens", place=150, draw=report, takes=("store",), photographs=True
)
