"""`adatok-bench results`."""

from __future__ import annotations

from pathlib import Path

import click

from bench.commands.shared import json_option, print_rows, store_option
from bench.records import read_records
from bench.suite import load_suite
from bench.tables import result_rows


@click.command()
@click.argument("suite")
@store_option
@json_option
def results(suite: str, store_path: str, as_json: bool) -> None:
    """One row per cell of SUITE, a suite's name or file: key, status, settings, metrics."""
    suite_name = load_suite(suite).name if suite.endswith((".yaml", ".yml")) else suite
    folder = Path(store_path).expanduser().absolute() / "records" / suite_name
    records = read_records(folder)
    if as_json:
        names = (
            *("cell_key", "label", "status", "error", "settings"),
            *("kind", "allocator", "metrics", "controls", "curve", "images"),
            *("generation", "throughput"),
        )
        print_rows([{name: record.get(name) for name in names} for record in records], as_json=True)
    else:
        print_rows(result_rows(records), as_json=False)
