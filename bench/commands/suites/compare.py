"""`adatok-bench compare`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from bench.commands.support.completion import complete_cells
from bench.commands.support.shared import json_option, store_option, tell, terminal_width


@click.command()
@click.argument("a", shell_complete=complete_cells)
@click.argument("b", shell_complete=complete_cells)
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
    """Is B better or worse than A? With intervals.

    Differences B - A are paired by seed.
    A and B are suites (name or file), SUITE:ARM, SUITE:GROUP with a group's label, or folders of
    records. Where one side is elastic and the other of tokenizers of one length, the price of
    being elastic is told. Exits with 1 where B is significantly worse in any metric, and with 2
    where the two cannot be compared.

    \b
    Examples:
      adatok-bench compare quickstart:elastic lora_heads:shared
      adatok-bench compare settle:"fixed length" settle:policy
      adatok-bench compare old_suite new_suite --metric mse --metric fd_lite0
      adatok-bench compare quickstart /other/store/records/quickstart --json
    """
    from bench.compare.differences import compare as compare_sides
    from bench.compare.sides import read_side
    from bench.compare.tables import comparison_json, comparison_text

    store = Path(store_path).absolute()
    sides = read_side(a, store), read_side(b, store)
    for side in sides:
        tell(side.name, side.notes)
    found = compare_sides(*sides, metrics=metrics, seed=seed)
    if as_json:
        click.echo(json.dumps(comparison_json(found), indent=1))
    else:
        click.echo(comparison_text(found, a=a, b=b, width=terminal_width()))
    if found.worse:
        sys.exit(1)
