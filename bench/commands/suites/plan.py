"""`adatok-bench plan`."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

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
from bench.errors import UserError
from bench.run.planning.gpus import CPUS_A_GPU, MFU, parse_machine


@click.command()
@click.argument("suite_file", type=PATH)
@store_option
@click.option(
    "--cpus",
    type=click.IntRange(1),
    help="Estimate for so many CPUs. Default: those of this machine; 16 a GPU of --as.",
)
@click.option(
    "--gpus",
    type=click.IntRange(1),
    help="Estimate for so many GPUs, where the suite uses any. Default: 1, or those of --as.",
)
@click.option("--as", "as_machine", help="Estimate for these GPUs, such as 8xH100, from FLOPs.")
@click.option(
    "--mfu",
    type=click.FloatRange(0, 1, min_open=True),
    help=f"With --as: the share of the peak that is reached. Default: {MFU}.",
)
@json_option
def plan(
    suite_file: str,
    store_path: str,
    cpus: int | None,
    gpus: int | None,
    as_machine: str | None,
    mfu: float | None,
    as_json: bool,
) -> None:
    """Show the stages of SUITE_FILE and what they would cost. Computes nothing.

    A stage is cached, new, failed (it will be tried again) or waiting for a result that decides
    what it is. What is to be computed is expected to take the median of what stages of the store
    have taken that are like it: the same stage on the same resources, with as much work where there
    are any, else scaled by what drives the cost. Where there is none, the cost is not known. With
    --as, what trainings and banks take on other GPUs follows from their FLOPs, counted by torch, at
    the bf16 peak of the GPU times --mfu; a training that would not fit into such a GPU's memory is
    refused. Images and weights that are not here may lie there.

    \b
    Examples:
      adatok-bench plan experiments/quickstart.yaml
      adatok-bench plan experiments/settle.yaml --cpus 16
      adatok-bench plan experiments/gpu/settle.yaml --gpus 4 --json
      adatok-bench plan experiments/gpu/settle.yaml --as 8xH100 --mfu 0.4
    """
    from bench.graph.folder_naming import by_content
    from bench.graph.source_naming import sources_by_content
    from bench.graph.suite_graph import build_graph
    from bench.run.planning.plan import plan_suite, plan_totals
    from bench.run.planning.text import plan_text
    from bench.store.store import Store
    from bench.suite.elsewhere import Elsewhere

    if mfu is not None and as_machine is None:
        raise UserError("--mfu: is of the machine that --as names; give that as well")
    machine = parse_machine(as_machine, MFU if mfu is None else mfu) if as_machine else None
    store = Store(Path(store_path).absolute())
    suite = load(suite_file, taken=Elsewhere() if machine else None, store=store.root)
    name_folder = by_content(store, remember=False, say=say)
    name_source = sources_by_content(store, remember=False, say=say)
    if machine is not None:
        name_folder, name_source = _if_here(name_folder), _if_here(name_source)
    graph = build_graph(suite, name_folder=name_folder, name_source=name_source)
    rows = plan_suite(suite, graph, store, machine=machine)
    there = machine.count if machine else 1
    cpus = cpus or (machine.count * CPUS_A_GPU if machine else _cpus())
    totals = plan_totals(rows, cpus=cpus, gpus=gpus or there)
    left = {one.arm: one.search.samples - len(one.drawn) for one in suite.searches}
    searched = {"trials_to_draw": left} if suite.searches else {}
    if as_json:
        of = {} if machine is None else {"machine": str(machine)}
        told = {"suite": suite.name, "cells": len(suite.cells), **of}
        print_json({**told, **searched, "stages": rows, "to_do": totals})
    else:
        click.echo(plan_text(suite.name, rows, totals, width=terminal_width(), machine=machine))
        for arm, count in left.items():
            if count:
                click.echo(f"{arm}: {count} more trials, drawn as earlier ones end")


def _if_here(name: Callable[..., str]) -> Callable[..., str]:
    """Images that are not here, or cannot be read, have no name of their content."""

    def named(*where: Any) -> str:
        try:
            return name(*where)
        except UserError as error:
            say(f"planned without images: {error}")
            return f"not here: {where}"

    return named


def _cpus() -> int:
    """CPUs that this process may use."""
    has_affinity = hasattr(os, "sched_getaffinity")
    return len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count() or 1
