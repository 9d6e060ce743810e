"""Throughput of decoding: images per second by how batches are run, and their ratios."""

from __future__ import annotations

from typing import Any

from reports.analysis.groups import Record
from reports.tables.table import WORDS, Column, Row, Table, Value, number, words

NAME, TITLE = "throughput", "Throughput"
KIND = "throughput"
MIB = 2**20


def table(records: list[Record]) -> Table:
    """A row per arm, mode, batch and option that was timed; a section per cell."""
    own = [record for record in records if record.get("kind") == KIND]
    done = [record for record in own if record["status"] == "done"]
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
    rows = [_row(record, row) for record in done for row in record["throughput"]["rows"]]
    notes = (
        "median [quartiles] over repeats; ratio: to the fixed length in the same batch; ideal: the "
        "tokens decoded at the measured cost of a step",
        *dict.fromkeys(map(_about, done)),
    )
    return Table(NAME, TITLE, columns, tuple(rows), notes)


def _about(record: Record) -> str:
    found = record["throughput"]
    mean, weights = found["lengths"]["mean"], found["weights"]
    return (
        f"{record['label']}: {weights} weights, {found.get('parameters', '?')} parameters, "
        f"{found['device']}, {found['threads']} threads, mean length {mean:g} of "
        f"{found['lengths'].get('fixed', '?')}"
    )


def _row(record: Record, row: dict[str, Any]) -> Row:
    memory = row.get("peak_memory_bytes")
    values = {
        "lengths": words(row["arm"]),
        "mode": words(row["mode"]),
        "batch": number(row["batch"], str(row["batch"])),
        "guidance": words("yes" if row["guidance"] else "no"),
        "pixels": words("yes" if row["pixels"] else "no"),
        "images_per_second": _quartiles(row["images_per_second"]),
        "tokens_per_second": _quartiles(row.get("tokens_per_second")),
        "ratio": _ratio(row),
        "first_image_seconds": number(row.get("first_image_seconds")),
        "peak_memory_mib": number(memory and memory / MIB, memory and f"{memory / MIB:.0f}"),
    }
    if row.get("of_ideal") is not None:
        values["of_ideal"] = number(row["of_ideal"], f"{100 * row['of_ideal']:.0f} %")
    return Row(values, (record["cell_key"],), section=record["label"])


def _ratio(row: dict[str, Any]) -> Value:
    """With its quartiles, where there are."""
    quartiles = row.get("ratio_quartiles")
    if row.get("ratio") is None or not quartiles:
        return number(row.get("ratio"))
    low, high = quartiles[0], quartiles[-1]
    return _quartiles({"median": row["ratio"], "quartile_low": low, "quartile_high": high})


def _quartiles(over: dict[str, float] | None) -> Value:
    if over is None or over.get("median") is None:
        return number(None)
    low, high = over["quartile_low"], over["quartile_high"]
    text = f"{over['median']:.4g}" + (f" [{low:.4g}, {high:.4g}]" if low < high else "")
    return Value(text, over["median"], more={"quartile_low": low, "quartile_high": high})
