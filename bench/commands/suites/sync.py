"""`adatok-bench sync`."""

from __future__ import annotations

from pathlib import Path

import click

from bench.commands.support.shared import say, store_option, tracking_option
from bench.errors import UserError
from bench.store.store import Store


@click.command()
@click.argument("suites", nargs=-1, metavar="[SUITE]...")
@store_option
@tracking_option
def sync(suites: tuple[str, ...], store_path: str, uri: str | None) -> None:
    """Rebuild MLflow from the records of each SUITE.

    SUITE is a suite's name or file; without any, all suites of the store are taken. Runs that are
    up to date are left alone, so syncing twice changes nothing. A store that was moved and an
    experiment that was deleted are mended. Superseded records, of cells that a suite no longer has,
    get the tag `superseded`. Exits with 2 where MLflow cannot be reached.

    \b
    Examples:
      adatok-bench sync
      adatok-bench sync quickstart --store store
      adatok-bench sync --tracking-uri http://127.0.0.1:5000
    """
    from bench.records.reading import read_suite
    from bench.suite.naming import suite_name
    from bench.tracker.connection import shown_uri, tracking_uri
    from bench.tracker.mirror import mirror

    root = Path(store_path).absolute()
    uri = tracking_uri(Store(root), uri)
    names = [suite_name(suite) for suite in suites] or _stored(root)
    # All are read before anything is written: a torn record stops the command, not half of it.
    suites_read = {name: read_suite(root / "records" / name) for name in dict.fromkeys(names)}
    older = {name: found.other_records() for name, found in suites_read.items()}
    store = Store.open(root)
    for name, found in suites_read.items():
        mirror(found.records, store, uri=uri, superseded=older[name], say=say)
        click.echo(f"{name}: {len(found.records)} cells")
        if older[name]:
            say(f"{name}: {len(older[name])} superseded records have the tag 'superseded'")
    click.echo(f"MLflow: {shown_uri(uri)}")


def _stored(root: Path) -> list[str]:
    names = sorted(path.name for path in (root / "records").glob("*") if any(path.glob("*.json")))
    if not names:
        raise UserError(f"no records in {root}; run a suite first, or give --store")
    return names
