"""`adatok-bench`: the command line. Results on stdout, progress on stderr.

Exit codes: 0 done, 1 a cell failed or a comparison found something worse, 2 bad input or
environment, or what cannot be compared, 130 interrupted.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import click

from bench.errors import UserError
from bench.folder_naming import by_content, without_reading
from bench.graph import build_graph
from bench.plan import plan_suite
from bench.records import read_records
from bench.report_plugins import Report, check_reports, render_reports
from bench.store import DISK_ERRORS, Store, disk_error
from bench.suite import Suite, load_suite
from bench.tables import as_text, result_rows

store_option = click.option(
    "--store",
    "store_path",
    envvar="ADATOK_STORE",
    default="store",
    show_default=True,
    help="Folder of artifacts and records.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def say(message: str) -> None:
    """Progress, on stderr."""
    click.echo(message, err=True)


def _load(path: str) -> Suite:
    suite = load_suite(path)
    check_reports(suite.reports, where=str(suite.path))
    return suite


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="adatok-bench")
def cli() -> None:
    """Benchmark self-budgeting image tokenizers, with results you can trust.

    \b
    Examples:
      adatok-bench validate experiments/*.yaml
      adatok-bench plan experiments/quickstart.yaml
      adatok-bench run experiments/quickstart.yaml
      adatok-bench results quickstart --json
      adatok-bench compare quickstart:elastic lora_heads:shared
    """


@cli.command()
@click.argument("suite_file", type=click.Path())
@store_option
@click.option(
    "--executor",
    type=click.Choice(["ray", "serial"]),
    default="ray",
    show_default=True,
    help="Ray Tune trials, or one stage after the other in this process.",
)
@click.option("--ray-address", help="Join this Ray cluster instead of starting one here.")
@click.option("--tracking-uri", help="MLflow server or database; default: in the store.")
def run(
    suite_file: str,
    store_path: str,
    executor: str,
    ray_address: str | None,
    tracking_uri: str | None,
) -> None:
    """Run the suite in SUITE_FILE; what is in the store already is not computed again."""
    from bench import mlflow_mirror
    from bench.executors import RayExecutor, SerialExecutor
    from bench.runner import run_suite

    if ray_address and executor != "ray":
        raise UserError("--ray-address: only the ray executor joins a cluster; drop one of the two")
    suite = _load(suite_file)
    there = Store(Path(store_path).expanduser().absolute())
    graph = build_graph(suite, name_folder=by_content(there, remember=True, say=say))
    store = Store.open(store_path)
    runs = RayExecutor(store, address=ray_address) if executor == "ray" else SerialExecutor(store)
    result = run_suite(suite, graph, store, runs, say=say)
    refused: UserError | None = None
    reports: list[Report] = []
    try:
        reports = render_reports(suite.reports, result.records, store.root / "reports" / suite.name)
    except UserError as error:
        refused = error  # The results are complete all the same: mirror them first.
    files = [path for report in reports for path in report.files]
    uri = tracking_uri or mlflow_mirror.tracking_uri(store)
    mlflow_mirror.mirror(result.records, store, uri=uri, figures=files, say=say)
    for report in reports:
        if report.text:
            click.echo(report.text)
    for path in files:
        click.echo(f"report   {path}")
    click.echo(f"records  {result.paths[0].parent}")
    click.echo(f"MLflow   adatok-bench ui --store {store.root}")
    if refused:
        raise refused
    if result.failed:
        for record in result.failed:
            say(f"failed: {record['label']}: {record['error'] or 'not run'}")
        sys.exit(1)


@cli.command()
@click.argument("suite_file", type=click.Path())
@store_option
@json_option
def plan(suite_file: str, store_path: str, as_json: bool) -> None:
    """Show the cells and stages of SUITE_FILE: cached, new, failed or waiting. Computes nothing."""
    suite = _load(suite_file)
    store = Store(Path(store_path).expanduser().absolute())
    graph = build_graph(suite, name_folder=by_content(store, remember=False, say=say))
    rows = plan_suite(suite, graph, store)
    _print(rows, as_json)


@cli.command()
@click.argument("suite_files", nargs=-1, required=True, type=click.Path())
def validate(suite_files: tuple[str, ...]) -> None:
    """Check every key and value of all SUITE_FILES, and the data and weights they name."""
    errors = []
    for path in suite_files:
        try:
            suite = _load(path)
            # No key is needed here, so no image is read: that may take an hour.
            build_graph(suite, name_folder=without_reading)
        except UserError as error:
            errors.append(str(error))
        else:
            click.echo(f"{path}: valid, {len(suite.cells)} cells")
    if errors:
        raise UserError("\nerror: ".join(errors))


@cli.command()
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
            *("allocator", "metrics", "controls", "curve", "images"),
        )
        _print([{name: record.get(name) for name in names} for record in records], as_json=True)
    else:
        _print(result_rows(records), as_json=False)


@cli.command()
@click.argument("a")
@click.argument("b")
@click.option("--metric", "metrics", multiple=True, help="Compare this metric; may be repeated.")
@click.option(
    "--seed",
    default=0,
    show_default=True,
    type=click.IntRange(0),
    help="Of the bootstrap over images, used where there is one seed.",
)
@store_option
@json_option
def compare(
    a: str, b: str, metrics: tuple[str, ...], seed: int, store_path: str, as_json: bool
) -> None:
    """Is B better or worse than A? Differences B - A, paired by seed, with their intervals.

    A and B are suites (name or file), SUITE:ARM, SUITE:GROUP with a group's label, or folders of
    records. Exits with 1 where B is significantly worse in any metric, and with 2 where the two
    cannot be compared.
    """
    from bench.compare import compare as compare_sides
    from bench.compare_tables import comparison_json, comparison_text
    from bench.sides import read_side

    store = Path(store_path).expanduser().absolute()
    found = compare_sides(read_side(a, store), read_side(b, store), metrics=metrics, seed=seed)
    if as_json:
        click.echo(json.dumps(comparison_json(found), indent=1))
    else:
        click.echo(comparison_text(found, a=a, b=b))
    if found.worse:
        sys.exit(1)


@cli.command()
@store_option
@click.option("--port", default=5000, show_default=True, type=click.IntRange(1, 65535))
def ui(store_path: str, port: int) -> None:
    """Open MLflow over the store, on loopback only."""
    from bench import mlflow_mirror

    store = Store(Path(store_path).expanduser().absolute())
    if not (store.root / "mlflow.db").is_file():
        raise UserError(f"no tracking database in {store.root}; run a suite first, or give --store")
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", port)) == 0:
            raise UserError(f"--port: {port} is in use; give another one")
    uri = mlflow_mirror.tracking_uri(store)
    say(f"MLflow on http://127.0.0.1:{port}, ready in about half a minute; stop with Ctrl-C")
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--workers", "1"]
    command += ["--port", str(port), "--backend-store-uri", uri]
    environment = {**os.environ, **mlflow_mirror.MLFLOW_ENVIRONMENT}
    sys.exit(subprocess.run(command, env=environment).returncode)


def _print(rows: list[dict[str, Any]], as_json: bool) -> None:
    click.echo(json.dumps(rows, indent=1) if as_json else as_text(rows))


def main() -> None:
    """The console script: every expected error is one line and exit code 2."""
    try:
        cli.main(standalone_mode=False)
    except UserError as error:
        say(f"error: {error}")
        sys.exit(2)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        say("interrupted; the same command goes on from here")
        sys.exit(130)
    except OSError as error:
        if error.errno not in DISK_ERRORS:
            raise
        say(f"error: {disk_error(Path(error.filename or '.'), error)}")
        sys.exit(2)
