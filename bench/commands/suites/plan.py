"""`adatok-bench plan`."""

from __future__ import annotations

import os
from pathlib import Path

import click

from bench.commands.support.shared import (
    PATH,
    json_option,
    load,
    print_json,
    say,
    store_option,
    terminal_width,
)


@click.command()
@click.argument("suite_file", type=PATH)
@store_option
@click.option(
    "--cpus",
    type=click.IntRange(1),
    help="Estimate for so many CPUs. Default: those of this machine.",
)
@click.option(
    "--gpus",
    default=1,
    show_default=True,
    type=click.IntRange(1),
    help="Estimate for so many GPUs, where the suite uses any.",
)
@json_option
def plan(suite_file: str, store_path: str, cpus: int | None, gpus: int, as_json: bool) -> None:
    """Show the stages of SUITE_FILE and what they would cost. Computes nothing.

    A stage is cached, new, failed (it will be tried again) or waiting for a result that decides
    what it is. What is to be computed is expected to take the median of what stages of the store
    have taken that are like it: the same stage on the same resources, with as much work where there
    are any, else scaled by what drives the cost. Where there is none, the cost is not known.

    \b
    Examples:
      adatok-bench plan experiments/quickstart.yaml
      adatok-bench plan experiments/settle.yaml --cpus 16
      adatok-bench plan experiments/gpu/settle.yaml --gpus 4 --json
    """
    from bench.graph.folder_naming import by_content
    from bench.graph.source_naming import sources_by_content
    from bench.graph.suite_graph import build_graph
    from bench.run.plan import plan_suite, plan_text, plan_totals
    from bench.store.store import Store

    suite = load(suite_file)
    store = Store(Path(store_path).absolute())
    graph = build_graph(
        suite,
        name_folder=by_content(store, remember=False, say=say),
        name_source=sources_by_content(store, remember=False, say=say),
    )
    rows = plan_suite(suite, graph, store)
    totals = plan_totals(rows, cpus=cpus or _cpus(), gpus=gpus)
    if as_json:
        print_json(
            {"suite": suite.name, "cells": len(suite.cells), "stages": rows, "to_do": totals}
        )
    else:
        click.echo(plan_text(suite.name, rows, totals, width=terminal_width()))


def _cpus() -> int:
    """CPUs that this process may use."""
    has_affinity = hasattr(os, "sched_getaffinity")
    return len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count() or 1
