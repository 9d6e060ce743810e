"""`adatok-bench plan`."""

from __future__ import annotations

from pathlib import Path

import click

from bench.commands.shared import json_option, load, print_rows, say, store_option
from bench.folder_naming import by_content
from bench.graph import build_graph
from bench.plan import plan_suite
from bench.store import Store


@click.command()
@click.argument("suite_file", type=click.Path())
@store_option
@json_option
def plan(suite_file: str, store_path: str, as_json: bool) -> None:
    """Show the cells and stages of SUITE_FILE: cached, new, failed or waiting. Computes nothing."""
    suite = load(suite_file)
    store = Store(Path(store_path).expanduser().absolute())
    graph = build_graph(suite, name_folder=by_content(store, remember=False, say=say))
    rows = plan_suite(suite, graph, store)
    print_rows(rows, as_json)
