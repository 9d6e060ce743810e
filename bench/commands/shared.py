"""What the subcommands share: options, progress, loading a suite, printing rows."""

from __future__ import annotations

import json
from typing import Any

import click

from bench.report_plugins import check_reports
from bench.suite import Suite, load_suite
from bench.tables import as_text

store_option = click.option(
    "--store",
    "store_path",
    envvar="ADATOK_STORE",
    default="store",
    show_default=True,
    help="Folder of artifacts and records.",
)
tracking_option = click.option(
    "--tracking-uri",
    "uri",
    help="MLflow server, or database as sqlite:////absolute/path.db; default: in the store.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def say(message: str) -> None:
    """Progress, on stderr."""
    click.echo(message, err=True)


def load(path: str) -> Suite:
    """A suite whose reports exist as well."""
    suite = load_suite(path)
    check_reports(suite.reports, where=str(suite.path))
    return suite


def print_rows(rows: list[dict[str, Any]], as_json: bool) -> None:
    """Rows on stdout, as JSON or as an aligned table."""
    click.echo(json.dumps(rows, indent=1) if as_json else as_text(rows))
