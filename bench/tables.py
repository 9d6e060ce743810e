"""Rows of results, and their text."""

from __future__ import annotations

import io
from typing import Any

from rich.console import Console
from rich.table import Table

RESULT_METRICS = (
    "mean_tokens",
    "min_tokens",
    "max_tokens",
    "psnr",
    "ssim",
    "mse",
    "ssim",
    "perceptual",
    "fd_lite0",
    "kid_lite0",
    "fd_lite1",
    "rfid",
    "kid",
    "bits",
    "allocation_skill",
    "allocation_skill_perceptual",
    "encoder_passes",
    "decoder_passes",
    "policy_entropy",
    "collapsed",
    "codebook_usage",
    "encode_images_per_second",
    "decode_images_per_second",
    "mean_tokens_data",
    "gfid",
    "gfid_reconstructions",
    "gfd_lite0",
    "gfd_lite0_reconstructions",
    "gkd_lite0",
    "gkd_lite0_reconstructions",
    "nats_per_token",
    "unended_share",
    "length_total_variation",
    "length_wasserstein_1",
)
RATES = ("images_per_second/fixed/", "ratio/")  # A throughput names what it measured.


def result_rows(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row per record; a metric that no record has gets no column."""
    shown = [m for m in RESULT_METRICS if any(m in r.get("metrics", {}) for r in records)]
    named = dict.fromkeys(name for record in records for name in record.get("metrics", {}))
    shown += [name for prefix in RATES for name in named if name.startswith(prefix)]
    rows = []
    for record in sorted(records, key=lambda record: record["label"]):
        metrics = record.get("metrics", {})
        rows.append(
            {
                "key": record["cell_key"],
                "status": record["status"],
                "cell": record["label"],
                **{name: metrics.get(name) for name in shown},
                **({"error": record["error"]} if record["error"] else {}),
            }
        )
    return rows


def as_text(rows: list[dict[str, Any]]) -> str:
    """Rows as an aligned table; columns are the union of the rows' keys."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    table = Table(box=None, pad_edge=False, header_style="")
    for name in columns:
        numeric = any(isinstance(row.get(name), int | float) for row in rows)
        table.add_column(name, justify="right" if numeric else "left", no_wrap=True)
    for row in rows:
        table.add_row(*(format_value(row.get(name)) for name in columns))
    text = io.StringIO()
    Console(file=text, width=10_000, highlight=False, markup=False).print(table)
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines())


def format_value(value: Any) -> str:
    """A value for a table: four significant digits, a dash for what is absent."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1000 else f"{value:.0f}"
    return str(value)
