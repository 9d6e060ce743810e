"""`adatok-bench check-store`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from bench.commands.support.shared import progress_of, say, store_option
from bench.errors import UserError


@click.command("check-store")
@store_option
@click.option(
    "--remove", is_flag=True, help="Remove what is damaged or foreign, and what runs set aside."
)
def check_store(store_path: str, remove: bool) -> None:
    """Check every file of the store.

    Artifacts are checked by their hashes; those that an older version wrote get theirs. What is
    damaged, missing or foreign is listed with its remedy, and nothing is removed unless asked for.
    A run does the same for what it needs, and computes again what is damaged. Exits with 1 where
    anything is wrong.

    \b
    Examples:
      adatok-bench check-store
      adatok-bench check-store --store /data/store
      adatok-bench check-store --remove
    """
    from bench.run.store_check import check_store
    from bench.store.store import Store

    root = Path(store_path).expanduser().absolute()
    if not root.is_dir():
        raise UserError(f"no store at {root}; give --store")
    with progress_of("checking artifacts") as started:
        checked = check_store(Store(root), started=started)
    for one in checked.found:
        click.echo(str(one))
    if checked.hashed:
        say(f"{checked.hashed} artifacts of an older adatok-bench have hashes from now on")
    click.echo(f"{checked.artifacts} artifacts checked, {len(checked.found)} findings")
    if remove:
        checked.remove()
        say("removed what is listed, and what runs had set aside")
    if checked.found:
        sys.exit(1)
