"""Galleries of reconstructions: images from simple to complex at every budget of a tokenizer.

Generators' galleries, which have no originals, are drawn as they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from bench.artifacts.gallery import ORIGINAL, Gallery, gallery_of
from bench.records.report_plugins import Report
from reports.analysis.allocations import natural
from reports.analysis.groups import Group, Record, group_by_seed, is_allocation
from reports.figures.gallery_figure import COLUMNS, draw, gallery_data
from reports.paper.drawing import render
from reports.paper.names import file_names
from reports.paper.text import page, unfinished

__all__ = ["COLUMNS", "report"]


def report(records: list[Record], folder: Path, *, store: Path) -> Report:
    """Draw `gallery-<tokenizer>.png`, `.pdf` and `.csv` for each tokenizer or generator.

    Of seeds the first one that has a gallery.

    Args:
        records: of a suite's cells.
        folder: where the files go.
        store: what the paths in the records start from.

    Raises:
        UserError: a record names a gallery that cannot be read.
    """
    shown = [record for record in records if record["status"] == "done" and not _extremes(record)]
    groups = sorted(group_by_seed(shown), key=lambda group: natural(group.label))
    found = list(_galleries(groups, store))
    notes = unfinished(records)
    if not found:
        why = "Gallery: not drawn, no tokenizer's evaluation in the store has a gallery"
        return Report(text=page(why, notes))
    files: list[Path] = []
    names = file_names("gallery", [label for label, _ in found])
    parts = []
    for name, (label, gallery) in zip(names, found, strict=True):
        data = gallery_data(label, gallery)
        files += render(folder, name, data, lambda d, g=gallery: draw(d, g.pixels))
        parts.append(_alt(label, gallery, data))
    text = page(notes) if notes else ""
    return Report(files, text, "Images by number of tokens", " ".join(parts))


def _extremes(record: Record) -> bool:
    """Allocations show the images with the fewest and the most tokens: `figures.extremes`."""
    return record.get("kind") is None and is_allocation(record)


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
