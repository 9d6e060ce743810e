"""Generated images: their lengths beside the data's, and their distances to the reference."""

from __future__ import annotations

from typing import Any

from bench.metrics.declared import METRICS
from reports.analysis.groups import Group, Record, group_by_seed
from reports.tables.table import NOT_MEASURED, WORDS, Column, Row, Table, Value, measured, words

NAME, TITLE = "generation", "Generated images"
KIND = "generation"
SHOWN = {
    "mean_tokens": "mean tokens",
    "mean_tokens_data": "mean tokens of the data",
    "unended_share": "share never ended",
    "nats_per_token": "nats per token",
    "gfid": "gFID",
    "gfd_lite0": "gFD (Lite0)",
    "gfd_lite0_reconstructions": "gFD (Lite0) to reconstructions",
}
DISTANCES = {"total_variation": "total variation", "wasserstein_1": "Wasserstein-1"}


def table(records: list[Record]) -> Table:
    """A row per group of cells that generate."""
    own = [record for record in records if record.get("kind") == KIND]
    done = [record for record in own if record["status"] == "done"]
    if not done:
        return Table(NAME, TITLE, notes=("Not made: no cell that generates has a result.",))
    metrics = [name for name in SHOWN if any(name in record["metrics"] for record in done)]
    columns = (
        *(Column("system", "system", WORDS), Column("seeds", "seeds")),
        *(Column(name, _title(name)) for name in metrics),
        *(Column(name, f"{title} of lengths ↓") for name, title in DISTANCES.items()),
    )
    rows = [_row(group, metrics) for group in group_by_seed(done)]
    protocol = done[0].get("protocol") or {}
    reference = protocol.get("reference", "not recorded")
    notes = (
        f"reference: {reference}; protocol {done[0].get('protocol_hash', 'none')}; never to be "
        "compared with distances of reconstructions",
        "distance of the lengths generated to the data's: [95 % bootstrap over images] where there "
        "is one seed, else [95 % Student t over seeds]",
    )
    return Table(NAME, TITLE, columns, tuple(rows), notes)


def _title(name: str) -> str:
    title = METRICS[name].title if name in METRICS and name != "mean_tokens" else SHOWN[name]
    return f"{title} ↓" if name.startswith(("gf", "nats", "unended")) else title


def _row(group: Group, metrics: list[str]) -> Row:
    seeds = group.repetitions
    values = {"system": words(group.label), "seeds": Value(str(seeds), seeds)}
    for name in metrics:
        values[name] = measured(group.interval(name), planned=seeds)
    for name in DISTANCES:
        values[name] = _distance(group, name, seeds)
    return Row(values, tuple(record["cell_key"] for record in group.records))


def _distance(group: Group, name: str, seeds: int) -> Value:
    """Over seeds, or with the one cell's own interval over images."""

    def of(record: Record) -> Any:
        return record["generation"]["distance"].get(name)

    if seeds > 1:
        value = group.interval_of(lambda record: (of(record) or {}).get("value"))
        return measured(value, planned=seeds)
    one = of(group.records[0])
    if one is None:
        return Value(NOT_MEASURED)
    text = f"{one['value']:.3f} [{one['low']:.3f}, {one['high']:.3f}]"
    return Value(text, one["value"], more={"low": one["low"], "high": one["high"]})
