"""`adatok-bench run`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.commands.suites.dry_run import try_suite
from bench.commands.support.shared import (
    PATH,
    ids_option,
    limit_option,
    load,
    say,
    store_option,
    tracking_option,
)
from bench.errors import UserError
from bench.store.store import Store

if TYPE_CHECKING:
    from bench.records.report_plugins import Report


@click.command()
@click.argument("suite_file", type=PATH)
@store_option
@click.option(
    "--executor",
    type=click.Choice(["ray", "serial"]),
    default="ray",
    show_default=True,
    help="Ray Tune trials, or one stage after the other in this process.",
)
@click.option("--ray-address", help="Join this Ray cluster instead of starting one here.")
@tracking_option
@limit_option
@ids_option
@click.option(
    "--dry-run",
    "dry_steps",
    type=click.IntRange(1),
    metavar="N",
    help="Try N steps of every stage on made-up images; keep nothing.",
)
@click.option(
    "--batch",
    type=click.IntRange(1),
    help="With --dry-run: images of a step. Default: 2.",
)
def run(
    suite_file: str,
    store_path: str,
    executor: str,
    ray_address: str | None,
    uri: str | None,
    limit: int | None,
    ids: str | None,
    dry_steps: int | None,
    batch: int | None,
) -> None:
    """Run the suite in SUITE_FILE, or go on with it.

    What is in the store already is not computed again. On a terminal, bars show how far it is and
    the time left; piped, lines do. Exits with 1 where a cell failed.

    With --limit or --ids only a part of each split is used, as for a quick look. Its results have
    another protocol, and go by the name SUITE@N or SUITE@ids-HASH: those of SUITE stay as they are.

    With --dry-run every stage makes a few steps at the resolution, shapes and losses of the suite,
    on made-up images (its own need not be there), in a folder of its own that is removed: a line a
    stage with seconds and memory, exit code 1 where one failed. A suite for GPUs is tried on the
    CPU where there are none.

    \b
    Examples:
      adatok-bench run experiments/quickstart.yaml
      adatok-bench run my_suite.yaml --store /data/store --executor serial
      adatok-bench run experiments/gpu/settle.yaml --ray-address 10.0.0.1:6379
      adatok-bench run my_suite.yaml --limit 100
      adatok-bench run experiments/imagenet/tokenizer_s.yaml --dry-run 2
      adatok-bench run my_suite.yaml --tracking-uri http://127.0.0.1:5000
    """
    if batch is not None and dry_steps is None:
        raise UserError("--batch: is of a dry run; give --dry-run as well")
    if dry_steps is not None:
        if limit is not None or ids is not None:
            raise UserError("--dry-run: takes images of its own; leave out --limit and --ids")
        try_suite(suite_file, Path(store_path), steps=dry_steps, batch=batch or 2)
        return
    from bench.commands.support.live_mlflow import shown_live
    from bench.graph.folder_naming import by_content
    from bench.graph.source_naming import sources_by_content
    from bench.graph.suite_graph import build_graph
    from bench.run.cluster.executor import RayExecutor
    from bench.run.executors import SerialExecutor
    from bench.run.plateaus import plateau_line
    from bench.run.recording import require_writable_records
    from bench.run.runner import run_suite
    from bench.run.views import show_in_mlflow, show_reports
    from bench.run.watch import watch_on_stderr
    from bench.tracker.connection import TrackerError, tracking_uri

    if ray_address and executor != "ray":
        raise UserError("--ray-address: only the ray executor joins a cluster; drop one of the two")
    if os.environ.get("RAY_ADDRESS") and executor == "ray" and not ray_address:
        say("RAY_ADDRESS is set and not heeded: only --ray-address joins a cluster")
    suite = load(suite_file, limit=limit, ids=ids, store=Path(store_path).absolute())
    if suite.name.count("@"):
        say(f"a part of the images: results go by the name {suite.name}")
    there = Store(Path(store_path).absolute())
    uri = tracking_uri(there, uri)
    graph = build_graph(
        suite,
        name_folder=by_content(there, remember=True, say=say),
        name_source=sources_by_content(there, remember=True, say=say),
    )
    store = Store.open(store_path)
    runs = RayExecutor(store, address=ray_address) if executor == "ray" else SerialExecutor(store)
    require_writable_records(store, suite)  # Before anything is written there.
    with shown_live(suite, graph, store, uri=uri, say=say):
        result = run_suite(suite, graph, store, runs, say=say, watch=watch_on_stderr(say))
    refused: UserError | None = None
    reports: list[Report] = []
    try:
        reports = show_reports(suite.name, suite.reports, result, store)
    except UserError as error:
        refused = error  # The results are complete all the same: mirror them first.
    files = [path for report in reports for path in report.files]
    try:
        show_in_mlflow(suite.name, result, store, uri=uri, say=say)
    except TrackerError as error:
        say(f"warning: {error}; the records are complete, and adatok-bench sync mirrors them later")
    for report in reports:
        if report.text:
            click.echo(report.text)
    for path in files:
        click.echo(f"report   {path}")
    if result.stopped:
        say(f"stopped early: {len(result.stopped)} of {len(result.records)} cells")
    if plateau := plateau_line(result.records):
        say(plateau)
    click.echo(f"records  {result.paths[0].parent}")
    click.echo(f"MLflow   adatok-bench ui --store {store.root}")
    if refused:
        raise refused
    if result.failed:
        for record in result.failed:
            say(f"failed: {record.label}: {record.error or 'not run'}")
        sys.exit(1)
