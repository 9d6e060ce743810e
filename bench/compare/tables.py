"""A comparison as text and as plain values."""

from __future__ import annotations

import math
from typing import Any

from bench.compare.differences import Comparison, Row
from bench.compare.paired import VERDICTS, Difference
from bench.compare.price_block import block_json, block_text
from bench.records.groups import repetition_name
from bench.records.tables import as_text, format_value
from bench.statistics.bootstrap import BootstrapInterval
from bench.statistics.intervals import PairedDifference

KEYS = 3  # Columns that tell rows apart: cell, budget, metric.


def comparison_text(comparison: Comparison, *, a: str, b: str, width: int | None = None) -> str:
    """A table, fitted to `width` if there is one, what it means, and the notes."""
    found = [row.difference for row in comparison.rows]
    kinds = {type(one.interval) for one in found if one.interval is not None}
    names = [kind.kind() for kind in (PairedDifference, BootstrapInterval) if kind in kinds]
    lines = [f"A: {a}", f"B: {b}", ""]
    if comparison.price is not None:
        lines += [block_text(comparison.price, width=width), ""]
    if not comparison.rows:
        return "\n".join([*lines, *comparison.notes]).rstrip("\n")
    lines += [as_text([_text_row(row) for row in comparison.rows], width=width, keys=KEYS), ""]
    if names:
        lines.append(
            f"B - A [95 %, {'; '.join(names)}]; p corrected by Holm over all rows; detectable: the "
            "difference that so many seeds would find with a chance of 80 %"
        )
    if BootstrapInterval in kinds:
        lines += _over_images(comparison)
    lines += comparison.notes
    verdicts = [one.verdict for one in found]
    counted = ", ".join(f"{verdicts.count(verdict)} {verdict}" for verdict in VERDICTS)
    lines.append(f"{counted}, {sum(one not in VERDICTS for one in verdicts)} without a verdict")
    return "\n".join(lines)


def _over_images(comparison: Comparison) -> list[str]:
    """Remarks on intervals over images: of which seeds they are."""
    rows = [r for r in comparison.rows if isinstance(r.difference.interval, BootstrapInterval)]
    lines = []
    if any(row.difference.over_seeds is None and row.seed for row in rows):
        lines.append("over images: of these two trainings alone; another seed may differ by more")
    if any(row.difference.over_seeds is not None for row in rows):
        lines.append(
            "over images and seeds: of the mean over these seeds; the interval is over images, and "
            "a difference counts as shown only where the seeds show it, too"
        )
    if any(not row.seed for row in rows):
        lines.append("over images: neither side was trained here, so images alone vary")
    return lines


def comparison_json(comparison: Comparison) -> dict[str, Any]:
    """Plain values; null for what is not known."""
    price = comparison.price
    return {
        "worse": comparison.worse,
        "differences": [_json_row(row) for row in comparison.rows],
        "notes": list(comparison.notes),
        **({} if price is None else {"price": block_json(price)}),
    }


def _text_row(row: Row) -> dict[str, Any]:
    one = row.difference
    a, b = _means(one)
    over, interval, mean = "-", "-", "-"
    if one.interval is not None:
        seeds = one.interval.over == "seeds"
        over = f"{one.interval.n} {repetition_name(row.seed) if seeds else one.interval.over}"
        if one.over_seeds is not None:
            over += f", {one.over_seeds.n} {repetition_name(row.seed)}"
        interval = f"[{_signed(one.interval.low)}, {_signed(one.interval.high)}]"
        mean = _signed(one.interval.mean)
    return {
        "cell": row.group,
        "budget": row.budget,
        "metric": row.metric,
        "A": a,
        "B": b,
        "B - A": mean,
        "interval": interval,
        "over": over,
        "p (Holm)": None if math.isnan(one.p) else float(f"{one.p:.3g}"),
        "detectable": None if math.isnan(one.detectable) else one.detectable,
        "verdict": one.verdict,
    }


def _means(one: Difference) -> tuple[float | None, float | None]:
    """The means of A and of B, if they have a seed in common."""
    return (None, None) if one.means is None else (one.means[1], one.means[0])


def _signed(value: float) -> str:
    return ("+" if value > 0 else "") + format_value(value)


def _json_row(row: Row) -> dict[str, Any]:
    one = row.difference
    a, b = _means(one)
    found: dict[str, Any] = {
        "group": row.group,
        "budget": row.budget,
        "metric": row.metric,
        "a": a,
        "b": b,
        "verdict": one.verdict,
    }
    interval = one.interval
    if interval is None:
        return found
    known = {
        "difference": interval.mean,
        "low": interval.low,
        "high": interval.high,
        "p_holm": one.p,
        "detectable": one.detectable,
    }
    return found | {
        **{name: None if math.isnan(value) else value for name, value in known.items()},
        "over": interval.over,
        "n": interval.n,
        "seed": row.seed if interval.over == "seeds" else None,
        "method": interval.method,
    }
