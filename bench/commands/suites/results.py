"""`adatok-bench results`."""

from __future__ import annotations

import csv
import io
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench.commands.support.completion import complete_suite
from bench.commands.support.shared import print_json, say, store_option, tell, terminal_width
from bench.errors import UserError

if TYPE_CHECKING:
    from bench.records.record import Record

JSON_FIELDS = (
    *("cell_key", "label", "status", "error", "settings"),
    *("kind", "allocator", "metrics", "controls", "curve", "images"),
    *("generation", "throughput"),
)


@click.command()
@click.argument("suite", shell_complete=complete_suite)
@click.option(
    "--where",
    "wheres",
    multiple=True,
    metavar="PATH=VALUE",
    help="Only cells with this setting; PATH is its dotted path, or the end of it. Repeatable.",
)
@click.option(
    "--status",
    "statuses",
    multiple=True,
    type=click.Choice(["done", "failed", "stopped", "pending"]),
    help="Only cells of this status. Repeatable.",
)
@click.option("--metric", "metrics", multiple=True, help="Show this metric. Repeatable.")
@click.option("--settings", "all_settings", is_flag=True, help="Show all settings that differ.")
@click.option(
    "--superseded",
    "with_superseded",
    is_flag=True,
    help="Also records of cells that the suite no longer has.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "csv", "json", "md", "eee"]),
    help="Default: text. csv, json and eee have values in full; eee is Every Eval Ever, one "
    "document of a cell with results per line.",
)
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
@store_option
def results(
    suite: str,
    wheres: tuple[str, ...],
    statuses: tuple[str, ...],
    metrics: tuple[str, ...],
    all_settings: bool,
    with_superseded: bool,
    form: str | None,
    as_json: bool,
    store_path: str,
) -> None:
    """One row per cell of SUITE: status, metrics.

    SUITE is a suite's name, for the cells of its last run, or its file. Rows of one label show the
    settings in which they differ. A terminal shows the main metrics, or those asked for, wrapped
    to its width. Into a file or a pipe go all columns, however wide.

    \b
    Examples:
      adatok-bench results quickstart
      adatok-bench results quickstart --where lora.rank=8 --where policy.seed=0
      adatok-bench results quickstart --where arm=policy --metric psnr
      adatok-bench results experiments/settle.yaml --status failed
      adatok-bench results quickstart --settings --superseded
      adatok-bench results quickstart --format csv > quickstart.csv
      adatok-bench results quickstart --format eee > quickstart.jsonl
    """
    from bench.records.reading import read_suite
    from bench.suite.naming import suite_cells

    if as_json and form not in (None, "json"):
        raise UserError(f"--json and --format {form}: drop one of the two")
    folder = Path(store_path).absolute() / "records"
    name, cells = suite_cells(suite, folder.parent)
    found = read_suite(folder / name, cells)
    records, marks = found.records, {}
    if with_superseded:
        records = [*records, *found.other_records()]
        marks = {one.cell_key: {"superseded": found.superseded(one.cell_key)} for one in records}
    else:
        tell(name, found.notes)
    _check_metrics(metrics, records)
    chosen = _chosen(records, wheres, statuses)
    form = "json" if as_json else form or "text"
    if form == "json":
        print_json([_json_row(one, metrics) | marks.get(one.cell_key, {}) for one in chosen])
        return
    if form == "eee":
        _print_documents(chosen, metrics, Path(store_path).absolute(), marks)
        return
    extra = _extra(chosen, marks, all_settings=all_settings)
    if form == "csv":
        click.echo(_csv(chosen, metrics, extra), nl=False)
    else:
        _print_table(chosen, metrics, form, extra)


def _extra(
    records: list[Record], marks: dict[str, dict[str, Any]], *, all_settings: bool
) -> dict[str, dict[str, Any]]:
    """Further columns of each cell: its mark, and settings in which rows differ."""
    from bench.records.settings_paths import apart, is_seed, varying

    paths = list(dict.fromkeys(path for one in _by_group(records) for path in apart(one)))
    if all_settings:
        paths = sorted(path for path in varying(records) if not is_seed(path))
    return {
        record.cell_key: {
            **marks.get(record.cell_key, {}),
            **_part(record),
            **{path: record.setting(path) for path in paths if path not in record.swept},
        }
        for record in records
    }


def _part(record: Record) -> dict[str, Any]:
    """The number of images behind the values, of a cell that has a part of them only."""
    if not (record.setting("data.limit") or record.setting("data.ids")):
        return {}
    return {"n": record.protocol.images_count if record.protocol else None}


def _by_group(records: list[Record]) -> list[list[Record]]:
    groups: dict[str, list[Record]] = {}
    for record in records:
        groups.setdefault(record.group, []).append(record)
    return list(groups.values())


def _check_metrics(metrics: tuple[str, ...], records: list[Record]) -> None:
    from bench.errors import suggestion

    known = list(dict.fromkeys(name for one in records for name in one.metrics))
    for name in metrics:
        if name not in known:
            raise UserError(f"--metric {name}: no cell has it{suggestion(name, known)}")


def _chosen(
    records: list[Record], wheres: tuple[str, ...], statuses: tuple[str, ...]
) -> list[Record]:
    """Records that fulfil everything asked; where none does, what there is instead is said."""
    from bench.records.filters import conditions, values_of

    asked = conditions(wheres, records)
    chosen = [
        record
        for record in records
        if all(one.holds(record) for one in asked) and (not statuses or record.status in statuses)
    ]
    if not chosen:
        there = [
            f"{one.path}: {', '.join(map(str, values_of(one.path, records)))}" for one in asked
        ]
        if statuses:
            there.append(f"status: {', '.join(sorted({record.status for record in records}))}")
        say(f"none of the {len(records)} cells is like this; there are {'; '.join(there)}")
    return chosen


def _json_row(record: Record, metrics: tuple[str, ...]) -> dict[str, Any]:
    held = record.plain()
    row = {name: held.get(name) for name in JSON_FIELDS}
    if metrics and row["metrics"] is not None:
        row["metrics"] = {name: row["metrics"].get(name) for name in metrics}
    return row


def _print_documents(
    records: list[Record],
    metrics: tuple[str, ...],
    store: Path,
    marks: dict[str, dict[str, Any]],
) -> None:
    """A document of Every Eval Ever per line; cells without results have none."""
    from bench.records.every_eval_ever import document

    done, now = [record for record in records if record.done], time.time()
    for record in done:
        mark = marks.get(record.cell_key, {})
        found = document(record, store=store, retrieved=now, metrics=metrics, **mark)
        click.echo(json.dumps(found, allow_nan=False))
    if len(done) < len(records):
        say(f"left out: {len(records) - len(done)} cells without results")


def _csv(records: list[Record], metrics: tuple[str, ...], extra: dict[str, dict[str, Any]]) -> str:
    """Keys, swept settings by dotted path, and metrics, in full; empty where there is no value."""
    from bench.records.tables import columns_of

    rows = [
        {
            "key": record.cell_key,
            "status": record.status,
            "arm": record.arm,
            "cell": record.label,
            **record.swept,
            **extra[record.cell_key],
            **{
                name: value
                for name, value in record.metrics.root.items()
                if not metrics or name in metrics
            },
            "error": record.error,
        }
        for record in records
    ]
    text = io.StringIO()
    names = [name for name in columns_of(rows) if name != "error"]
    writer = csv.DictWriter(text, [*names, "error"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _print_table(
    records: list[Record], metrics: tuple[str, ...], form: str, extra: dict[str, dict[str, Any]]
) -> None:
    from bench.records.tables import as_markdown, as_text, main_metrics, result_rows, result_text

    width = terminal_width()
    if form == "md":
        click.echo(as_markdown(result_rows(records, metrics, extra)))
    elif width is None or not records:
        click.echo(as_text(result_rows(records, metrics, extra)))
    elif metrics:
        click.echo(result_text(records, metrics, width=width, extra=extra))
    else:
        shown, others = main_metrics(records)
        click.echo(result_text(records, shown, width=width, extra=extra))
        if others:
            say(f"and {len(others)} more: --metric NAME shows one, --format csv or md all of them")
