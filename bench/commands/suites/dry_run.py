"""The dry run of `adatok-bench run`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from bench.commands.support.shared import say
from bench.store.store import Store


def try_suite(suite_file: str, store_path: Path, *, steps: int, batch: int) -> None:
    """A line a stage on stdout, and a last one that says whether all is well; exits with 1 if not.

    Everything lies in a folder of its own in the store, which is removed.
    """
    import torch

    from bench.graph.folder_naming import by_content
    from bench.graph.source_naming import sources_by_content
    from bench.graph.suite_graph import build_graph
    from bench.run.dry.images import write_images
    from bench.run.dry.running import GB, run_dry
    from bench.run.own_folder import own_folder
    from bench.store.progress import duration
    from bench.suite.dry_settings import Machine, dry_suite

    parent = Store.open(store_path).root / "work"
    with own_folder(parent, "dry-") as folder:
        suite, cut, notes = dry_suite(
            Path(suite_file),
            steps=steps,
            batch=batch,
            place=folder,
            machine=Machine(torch.get_num_threads(), torch.cuda.device_count()),
        )
        for note in notes:
            say(note)
        write_images(suite, cut.images)
        store = Store.open(folder / "store")
        graph = build_graph(
            suite,
            name_folder=by_content(store, remember=True, say=say),
            name_source=sources_by_content(store, remember=True, say=say),
        )
        result = run_dry(suite, graph, store, tell=click.echo)
    took = f"{result.stages} stages in {duration(result.seconds)}, {result.peak_bytes / GB:.2f} GB"
    for problem in result.problems:
        say(f"failed: {problem}")
    word = "FAILED" if result.problems else "passed"
    click.echo(f"dry run {word}: {took} at most; nothing of it is kept")
    if result.problems:
        sys.exit(1)
