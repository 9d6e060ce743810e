"""`adatok-bench list`."""

from __future__ import annotations

import dataclasses
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from bench.commands.support.shared import PATH, json_option, print_json, say, terminal_width

if TYPE_CHECKING:
    from bench.commands.support.choices import Entry

KINDS = (
    *("tokenizers", "factories", "quantizers", "allocators", "objectives", "weightings"),
    *("metrics", "extractors", "stages", "datasets", "suites", "reports"),
)


@click.command("list")
@click.argument("kind", required=False, type=click.Choice(KINDS), metavar="[KIND]")
@click.option(
    "--suites",
    "folder",
    default="experiments",
    show_default=True,
    type=PATH,
    help="Folder of suites, looked through with all below it.",
)
@json_option
@click.pass_context
def listing(context: click.Context, kind: str | None, folder: str, as_json: bool) -> None:
    """Say what there is to choose from, and where it is defined.

    KIND is one of tokenizers, quantizers, allocators, objectives, weightings, metrics, extractors,
    stages, datasets, suites, reports; without it, all are listed. Into a file or a pipe go lines of
    kind, name, place and description, with tabs between.

    \b
    Examples:
      adatok-bench list
      adatok-bench list metrics
      adatok-bench list suites --suites my/suites
      adatok-bench list --json
    """
    from bench.commands.support.choices import entries

    kinds = [kind] if kind else list(KINDS)
    asked = context.get_parameter_source("folder") is not ParameterSource.DEFAULT
    if kind is None and not asked and not Path(folder).is_dir():
        kinds.remove("suites")
        say(f"no suites listed: there is no folder {folder} here; give --suites")
    found = entries(kinds, suites=Path(folder))
    width = terminal_width()
    if as_json:
        print_json([dataclasses.asdict(entry) for entry in found])
    elif width is None:
        for entry in found:
            click.echo("\t".join((entry.kind, entry.name, entry.defined, entry.about)))
    else:
        click.echo(_for_people(found, width))


def _for_people(found: list[Entry], width: int) -> str:
    """Entries under their kinds: name and description, and below it the place."""
    from bench.commands.support.choices import KINDS as KEYS

    indent = " " * 4
    lines = []
    for kind in dict.fromkeys(entry.kind for entry in found):
        lines += ["", click.style(kind, bold=True) + f" ({KEYS[kind].key})"]
        for entry in found:
            if entry.kind == kind:
                name = click.style(entry.name, bold=True)
                wrapped = textwrap.wrap(
                    f"{entry.name}: {entry.about}",
                    width,
                    initial_indent="  ",
                    subsequent_indent=indent,
                    break_on_hyphens=False,
                )
                lines += [wrapped[0].replace(entry.name, name, 1), *wrapped[1:]]
                lines.append(indent + click.style(entry.defined, dim=True))
    return "\n".join(lines[1:])
