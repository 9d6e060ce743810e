"""`adatok-bench export`."""

from __future__ import annotations

from pathlib import Path

import click

from bench.commands.support.completion import complete_cells
from bench.commands.support.shared import PATH, say, store_option


@click.command()
@click.argument("cell", shell_complete=complete_cells)
@click.option(
    "--out",
    required=True,
    type=PATH,
    help="A new folder.",
)
@store_option
def export(cell: str, out: str, store_path: str) -> None:
    """Put the trained model of a CELL into one folder.

    CELL is SUITE:ARM, SUITE:LABEL with the label of a cell as results shows it, or the key of a
    cell. Arms and labels are those of the suite's last run, keys also of cells that it no longer
    has. The folder gets the weights of its tokenizer and of its policy, if it has one, as
    safetensors, its configuration, a model card and checksums.

    \b
    Examples:
      adatok-bench export quickstart:'fixed 16' --out fixed16
      adatok-bench export 005d80dea0b18b17 --out model
      adatok-bench export 'settle:policy: seed 0' --out model --store /data/store
    """
    from bench.models.export import export_cell
    from bench.store.store import Store

    folder = Path(out).absolute()
    store = Store(Path(store_path).absolute())
    for name in export_cell(cell, store, folder, say=say):
        click.echo(folder / name)
