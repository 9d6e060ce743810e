"""Use of codes along the tokens: entropy and share of the codebook at each position."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pandas as pd

from bench.metrics.declared import METRICS
from bench.records.report_plugins import Figure, Report
from bench.records.tables import as_text, format_value
from bench.statistics.intervals import StudentInterval
from reports.analysis.groups import Group, Record, done_records, is_allocation
from reports.analysis.names import natural_groups
from reports.paper.drawing import budget_axis, legend_below, panel_grid, render, wrapped
from reports.paper.marks import sample, samples, spread
from reports.paper.style import QUIET, look_of
from reports.paper.text import caption, page, show_interval, unfinished

COLUMNS = ["panel", "system", "kind", "repetition", "position", "value", "low", "high", "n",
           "most_bits", "images"]  # fmt: skip
ENTROPY, USAGE = "entropy", "usage"
PANELS = {ENTROPY: "entropy of the codes (bits)", USAGE: "share of the codebook used"}
ROW_INCHES, LABEL_INCHES = 1.9, 1.2


def report(records: list[Record], folder: Path) -> Report:
    """Draw `token_use.png`, `.pdf` and `.csv` of tokenizers with known ids; a table as text."""
    done, notes = done_records(records), unfinished(records)
    groups = natural_groups([one for one in done if one.codebook and not is_allocation(one)])
    if not groups:
        none = "Use of codes: not drawn, no tokenizer with ids has a result"
        return Report(text=page(none, notes))
    files = render(folder, "token_use", use_data(groups), draw)
    return Report(files, page(_table(groups), notes), "Use of codes along the tokens", _alt(groups))


def use_data(groups: list[Group]) -> pd.DataFrame:
    """A row per drawn point; see `COLUMNS`.

    `kind` is `seed` where there are several, or `mean` with its Student interval over seeds.
    `most_bits` is what the code could carry at most (`log2 V`), and `images` how many there were:
    so many images show `log2 n` bits at most.
    """
    rows: list[tuple[Any, ...]] = []
    for group in groups:
        first = group.records[0]
        about = (first.metrics.value("bits_per_token"), first.protocol.images_count)
        for panel in PANELS:
            courses = [_by_position(record, panel) for record in group.records]
            for position in range(max(map(len, courses))):
                values = {i: one[position] for i, one in enumerate(courses) if position < len(one)}
                for kind, seed, *row in spread(values, several=len(courses) > 1):
                    rows.append((panel, group.label, kind, seed, position + 1, *row, *about))
    return pd.DataFrame(rows, columns=COLUMNS)


def _by_position(record: Record, panel: str) -> tuple[float, ...]:
    codebook = record.codebook
    return codebook.entropy_bits_by_position if panel == ENTROPY else codebook.usage_by_position


def draw(data: pd.DataFrame) -> Any:
    """The figure: entropy by position, and share of the codebook; a line per tokenizer."""
    figure, drawn = panel_grid(len(PANELS), row_inches=ROW_INCHES, inches=2.2)
    for axes, panel in zip(drawn, PANELS, strict=True):
        here = data[data["panel"] == panel]
        for system, shown in here.groupby("system", sort=False):
            _draw_course(axes, shown[shown["kind"] == "mean"], look_of(system))
        positions = sorted({*here["position"]})
        budget_axis(axes, [p for p in positions if math.log2(p).is_integer()])
        axes.set_xlabel("position of the token")
        axes.set_ylabel(wrapped(PANELS[panel], LABEL_INCHES))
    top = _draw_most(drawn[0], data)
    for axes in drawn:
        axes.set_ylim(bottom=0)
    handles = samples(data["system"].unique(), lw=0.9)
    if top:
        handles.append(sample(top, color=QUIET, ls=":", lw=0.8))
    several = (data["n"] > 1).any()
    title = f"bands: {caption(StudentInterval)}" if several else None
    legend_below(figure, handles=handles, title=title)
    return figure


def _draw_course(axes: Any, means: pd.DataFrame, style: dict[str, Any]) -> None:
    means = means.sort_values("position")
    marked = [place for place, at in enumerate(means["position"]) if math.log2(at).is_integer()]
    axes.plot(means["position"], means["value"], **style, markevery=marked, ms=3, lw=0.9, zorder=3)
    known = means[means["low"].notna()]
    if len(known):
        axes.fill_between(
            known["position"], known["low"].clip(lower=0), known["high"], color=style["color"],
            alpha=0.15, lw=0, zorder=2,
        )  # fmt: skip


def _draw_most(axes: Any, data: pd.DataFrame) -> str | None:
    """The most bits that there could be: of the code, or of so few images; what it is in words."""
    bits = data["most_bits"].dropna()
    shown = math.log2(data["images"].max())
    most = min(float(bits.max()), shown) if len(bits) else shown
    axes.axhline(most, color=QUIET, ls=":", lw=0.8, zorder=1)
    if most < shown:
        return "bits of a token"
    return f"most that {data['images'].max():g} images can show"


def _table(groups: list[Group]) -> str:
    lines = []
    for group in groups:
        effective = group.records[0].codebook.effective_codes_by_position
        ratio, usage = map(group.interval, ("tail_entropy_ratio", "codebook_usage"))
        lines.append({
            "tokenizer": group.label,
            "seeds": group.repetitions,
            "entropy, last over first quarter": show_interval(ratio),
            "effective codes, first": format_value(effective[0]),
            "last": format_value(effective[-1]),
            "codebook used": show_interval(usage),
        })  # fmt: skip
    return f"Use of codes, by position (plug-in entropy; codes of the first seed)\n{as_text(lines)}"


def _alt(groups: list[Group]) -> str:
    parts = [
        f"{group.label} {over.mean:.2g}"
        for group in groups
        if (over := group.interval("tail_entropy_ratio")) is not None
    ]
    title = METRICS["tail_entropy_ratio"].title
    tail = f" {title} as a share of that of the first: {'; '.join(parts)}." if parts else ""
    return f"Entropy of the codes of {len(groups)} tokenizers at each position.{tail}"


REPORT = Figure(title="Use of codes along the tokens", place=75, draw=report)
