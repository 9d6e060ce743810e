"""Throughput of decoding: images per second by how batches are run, and their ratios."""

from __future__ import annotations

from bench.records.parts import Spread
from bench.records.sections.speed import SpeedRow
from reports.analysis.groups import Record, with_results
from reports.tables.declared import TableReport
from reports.tables.table import WORDS, Column, Row, Table, Value, number, words

NAME, TITLE = "throughput", "Throughput"
MIB = 2**20


def table(records: list[Record]) -> Table:
    """A row per arm, mode, batch and option that was timed; a section per cell."""
    done = [record for record in with_results(records) if record.generation_speed is not None]
    if not done:
        return Table(NAME, TITLE, notes=("Not made: no cell that is timed has a result.",))
    columns = (
        *(Column("lengths", "lengths", WORDS), Column("mode", "batches", WORDS)),
        *(Column("batch", "batch"), Column("guidance", "guidance", WORDS)),
        *(Column("pixels", "with pixels", WORDS), Column("images_per_second", "images/s ↑")),
        *(Column("tokens_per_second", "tokens/s ↑"), Column("ratio", "ratio to fixed ↑")),
        *(Column("of_ideal", "share of ideal ↑"), Column("first_image_seconds", "first image (s)")),
        Column("peak_memory_mib", "peak memory (MiB)"),
    )
    rows = [_row(record, row) for record in done for row in record.generation_speed.rows]
    notes = (
        "median [quartiles] over repeats; ratio: to the fixed length in the same batch; ideal: the "
        "tokens decoded at the measured cost of a step",
        *dict.fromkeys(map(_about, done)),
    )
    return Table(NAME, TITLE, columns, tuple(rows), notes)


def _about(record: Record) -> str:
    found = record.generation_speed
    return (
        f"{record.label}: {found.weights} weights, {found.parameters} parameters, "
        f"{found.device}, {found.threads} threads, mean length {found.lengths.mean:g} of "
        f"{found.lengths.fixed}"
    )


def _row(record: Record, row: SpeedRow) -> Row:
    memory, ideal = row.peak_memory_bytes, row.of_ideal
    values = {
        "lengths": words(row.arm),
        "mode": words(row.mode),
        "batch": number(row.batch, str(row.batch)),
        "guidance": words("yes" if row.guidance else "no"),
        "pixels": words("yes" if row.pixels else "no"),
        "images_per_second": _quartiles(row.images_per_second),
        "tokens_per_second": _quartiles(row.tokens_per_second),
        "ratio": _with_quartiles(row.ratio, *row.ratio_quartiles),
        "first_image_seconds": number(row.first_image_seconds),
        "peak_memory_mib": number(memory and memory / MIB, memory and f"{memory / MIB:.0f}"),
    }
    if ideal is not None:
        values["of_ideal"] = number(ideal, f"{100 * ideal:.0f} %")
    return Row(values, (record.cell_key,), section=record.label)


def _quartiles(over: Spread) -> Value:
    return _with_quartiles(over.median, over.quartile_low, over.quartile_high)


def _with_quartiles(median: float | None, low: float | None, high: float | None) -> Value:
    if median is None:
        return number(None)
    text = f"{median:.4g}" + (f" [{low:.4g}, {high:.4g}]" if low < high else "")
    return Value(text, median, more={"quartile_low": low, "quartile_high": high})


REPORT = TableReport(title=TITLE, place=40, build=table)
