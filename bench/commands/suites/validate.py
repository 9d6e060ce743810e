"""`adatok-bench validate`."""

from __future__ import annotations

import click

from bench.commands.support.shared import PATH, load, say
from bench.errors import UserError


@click.command()
@click.argument("suite_files", nargs=-1, required=True, type=PATH)
def validate(suite_files: tuple[str, ...]) -> None:
    """Check every key and value of SUITE_FILES.

    The data and weights that they name are looked for, and all errors told. Of a folder of images,
    splits, classes and counts are listed; no image is read. Tokenizers of others are made once.

    \b
    Examples:
      adatok-bench validate my_suite.yaml
      adatok-bench validate experiments/*.yaml experiments/gpu/*.yaml
    """
    from bench.graph.folder_naming import without_reading
    from bench.graph.made_tokenizers import require_made
    from bench.graph.source_naming import sources_without_reading
    from bench.graph.suite_graph import build_graph

    errors = []
    for path in suite_files:
        try:
            suite = load(path)
            # No key is needed here, so no image is read: that may take an hour.
            told: list[str] = []
            graph = build_graph(
                suite,
                name_folder=without_reading(told.append),
                name_source=sources_without_reading(told.append),
            )
            require_made(graph.order(), where=f"{path}: ")
        except UserError as error:
            errors.append(str(error))
        else:
            more = sum(one.search.samples - len(one.drawn) for one in suite.searches)
            later = f", {more} trials to be drawn" if more else ""
            click.echo(f"{path}: valid, {len(suite.cells)} cells{later}")
            for line in told:
                click.echo(f"  {line}")
    for problem in errors[:-1]:
        say(f"error: {problem}")
    if errors:
        raise UserError(errors[-1])
