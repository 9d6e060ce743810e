"""The images that an allocation gives the fewest tokens, and those it gives the most."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bench.artifacts.gallery import FEWEST, MOST, Gallery, gallery_of
from bench.records.report_plugins import Figure, Report
from reports.analysis.allocations import Allocated, allocations
from reports.analysis.groups import Record, has_collapsed, is_policy, reconstructions
from reports.analysis.names import natural
from reports.figures.gallery import COLUMNS, LABEL_INCHES, LARGEST_INCHES, gallery_data, render_each
from reports.paper.sheet import Sheet
from reports.paper.style import width_inches
from reports.paper.text import page, unfinished

__all__ = ["COLUMNS", "report"]
HEADING_INCHES, BLOCK_INCHES = 0.46, 0.46  # above all, and of a block without its pictures


def report(records: list[Record], folder: Path, *, store: Path) -> Report:
    """Draw `extremes-<allocation>.png`, `.pdf` and `.csv`, one per tokenizer and arm.

    Shown is the one with the largest mean skill, and of its seeds the first that has not collapsed.
    """
    notes = unfinished(records)
    found = _found(reconstructions(records), store)
    if not found:
        why = "Extremes: not drawn, no allocation's evaluation in the store has a gallery"
        return Report(text=page(why, notes))
    labels = [f"{tokenizer}-{system}" if tokenizer else system for tokenizer, system, _ in found]
    shown = []
    for tokenizer, system, gallery in found:
        label = f"{system} on {tokenizer}" if tokenizer else system
        shown.append((label, gallery, gallery_data(label, gallery)))
    files = render_each(folder, "extremes", labels, shown, draw)
    alt = " ".join(_alt(label, data) for label, _, data in shown)
    return Report(files, page(notes), "Images with the fewest and the most tokens", alt)


def _found(records: list[Record], store: Path) -> list[tuple[str, str, Gallery]]:
    """Tokenizer, system and gallery of each arm's best allocation, policies first."""
    best: dict[tuple[str, str], Allocated] = {}
    for one in allocations(records):
        if not any(record.gallery for record in one.group.records):
            continue
        place = one.tokenizer, one.group.records[0].arm
        if place not in best or _skill(one) > _skill(best[place]):
            best[place] = one
    chosen = list(best.values())
    if any(is_policy(one.group.records[0]) for one in chosen):
        chosen = [one for one in chosen if is_policy(one.group.records[0])]
    found = []
    for one in chosen:
        candidates = [record for record in one.group.records if record.gallery]
        record = min(candidates, key=has_collapsed)
        gallery = gallery_of(record, store)
        if gallery is not None and len(gallery.rows):
            found.append((one.tokenizer, one.system, gallery))
    return sorted(found, key=lambda each: (natural(each[0]), natural(each[1])))


def _skill(one: Allocated) -> float:
    over = one.group.interval("allocation_skill")
    return -np.inf if over is None else over.mean


def _alt(label: str, data: pd.DataFrame) -> str:
    shown = data.dropna(subset="tokens").groupby("group")
    parts = [
        f"{len(rows)} images with the {group}: {rows['tokens'].min():g} to "
        f"{rows['tokens'].max():g} tokens, {rows['psnr'].mean():.1f} dB"
        + ("" if rows["complexity"].isna().all() else
           f", {rows['complexity'].mean():.1f} objects on average")
        for group, rows in shown
    ]  # fmt: skip
    collapsed = data["tokens"].nunique() < 2
    note = "; all images shown got the same number of tokens" if collapsed else ""
    return f"{label}: {'; '.join(parts)}{note}."


def draw(data: pd.DataFrame, pixels: np.ndarray) -> Any:
    """A block of the fewest, one of the most; each original above what came back.

    Data are by `gallery_data`, pixels uint8 `[G, 2, H, W, 3]`.
    """
    groups = [group for group in (FEWEST, MOST) if (data.group == group).any()]
    most = max(data[data.group == group]["row"].nunique() for group in groups)
    side = min((width_inches() - LABEL_INCHES) / most, LARGEST_INCHES)
    block = 2 * side + BLOCK_INCHES
    sheet = Sheet.of(len(groups) * block + HEADING_INCHES - 0.15, title=data["system"].iloc[0])
    same = data["tokens"].nunique() < 2
    for number, group in enumerate(groups):
        here = data[data.group == group]
        top = HEADING_INCHES + number * block
        heading = f"{group}: one budget for all images shown" if same else group
        sheet.text(LABEL_INCHES, top - 0.03, heading, ha="left", va="bottom", size=7)
        for line, name in enumerate(here["column"].unique()):
            label = "\n".join(name.split())
            sheet.text(LABEL_INCHES - 0.06, top + (line + 0.5) * side, label, ha="right", size=6)
        label = "tokens\nPSNR (dB)"
        sheet.text(LABEL_INCHES - 0.06, top + 2 * side, label, ha="right", va="top", size=5)
        for place, (row, cells) in enumerate(here.groupby("row")):
            x = LABEL_INCHES + place * side
            for line in range(len(cells)):
                sheet.picture(pixels[row, line], x, top + line * side, side)
            sheet.text(x + side / 2, top + 2 * side, _below(cells), va="top", size=5)
    return sheet.figure


def _below(cells: pd.DataFrame) -> str:
    last = cells.iloc[-1]
    psnr = "-" if pd.isna(last["psnr"]) else f"{last['psnr']:.1f}"
    return f"{last['tokens']:g}\n{psnr}"


REPORT = Figure(
    title="Images with the fewest and the most tokens",
    place=160,
    draw=report,
    takes=("store",),
    photographs=True,
)
