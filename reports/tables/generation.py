"""Generated images: their lengths beside the data's, and their distances to the reference."""

from __future__ import annotations

from bench.metrics.declared import METRICS
from bench.records.sections.generation import LengthDistance
from reports.analysis.groups import Group, Record, group_by_seed, with_results
from reports.tables.declared import TableReport
from reports.tables.generation_verdict import generation_verdict
from reports.tables.table import NOT_MEASURED, WORDS, Column, Row, Table, Value, measured, words

NAME, TITLE = "generation", "Generated images"
SHOWN = (
    *("mean_tokens", "mean_tokens_data", "unended_share", "nats_per_token"),
    *("gfid", "gfd_lite0", "gfd_lite0_reconstructions"),
    *("chd", "chd_reconstructions", "chd_position", "chd_position_reconstructions"),
)
DISTANCES = {"total_variation": "total variation", "wasserstein_1": "Wasserstein-1"}


def table(records: list[Record]) -> Table:
    """A row per group of cells that generate."""
    done = [record for record in with_results(records) if record.generation is not None]
    if not done:
        return Table(NAME, TITLE, notes=("Not made: no cell that generates has a result.",))
    metrics = [name for name in SHOWN if any(name in record.metrics for record in done)]
    columns = (
        *(Column("system", "system", WORDS), Column("seeds", "seeds")),
        *(Column(name, _title(name)) for name in metrics),
        *(Column(name, f"{title} of lengths ↓") for name, title in DISTANCES.items()),
    )
    rows = [_row(group, metrics) for group in group_by_seed(done)]
    notes = (
        f"reference: {done[0].protocol.reference}; protocol {done[0].protocol_hash}; never to be "
        "compared with distances of reconstructions",
        "distance of the lengths generated to the data's: [95 % bootstrap over images] where there "
        "is one seed, else [95 % Student t over seeds]",
        *generation_verdict(done),
    )
    return Table(NAME, TITLE, columns, tuple(rows), notes)


def _title(name: str) -> str:
    metric = METRICS[name]
    return f"{metric.title} ↓" if metric.judged and name != "mean_tokens" else metric.title


def _row(group: Group, metrics: list[str]) -> Row:
    seeds = group.repetitions
    values = {"system": words(group.label), "seeds": Value(str(seeds), seeds)}
    for name in metrics:
        values[name] = measured(group.interval(name), planned=seeds)
    for name in DISTANCES:
        values[name] = _distance(group, name, seeds)
    return Row(values, tuple(record.cell_key for record in group.records))


def _distance(group: Group, name: str, seeds: int) -> Value:
    """Over seeds, or with the one cell's own interval over images."""

    def of(record: Record) -> LengthDistance | None:
        return record.generation.distance.get(name)

    if seeds > 1:
        return measured(
            group.interval_of(lambda record: one.value if (one := of(record)) else None),
            planned=seeds,
        )
    one = of(group.records[0])
    if one is None:
        return Value(NOT_MEASURED)
    text = f"{one.value:.3f} [{one.low:.3f}, {one.high:.3f}]"
    return Value(text, one.value, more={"low": one.low, "high": one.high})


REPORT = TableReport(title=TITLE, place=30, build=table)
