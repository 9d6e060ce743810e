"""Records: made from the store as it stands, and written for every cell."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.errors import UserError
from bench.graph.nodes import Node, upstream
from bench.records.reading import left_out, record_path, refuse_newer
from bench.records.record import SCHEMA_VERSION, Record, parse_record
from bench.records.runs import FILE as RUNS
from bench.records.runs import Damaged, Run, read_runs, with_run, write_runs
from bench.records.sections.codesign import codesigned, training_names
from bench.run.extra_results import extra_metrics, with_derived, with_diagnostic
from bench.search.halving import Halving
from bench.stages import OURS
from bench.store.provenance import provenance
from bench.store.stage import StageSpec
from bench.store.store import Store
from bench.store.sums import write_summed
from bench.suite.cells import Cell
from bench.suite.loading import Suite

# Of a stage's description, and of the result of a tokenizer's training: older ones lack some of it.
TOOK = ("stage", "key", "seconds", "peak_memory_bytes", "resources")
TRAINING = ("images_seen", "decoder_passes", "token_passes", "ignition")


def build_record(suite: Suite, cell: Cell, ends: tuple[Node, ...], store: Store) -> Record:
    """The record of a cell as the store stands now: `done`, `failed`, `stopped` or `pending`.

    `ends` are the cell's last stage, its diagnostics, and the stages of other packages that it
    asks for besides.
    """
    settings = cell.settings
    known: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "suite": suite.name,
        "question": suite.question,
        "cell_key": cell.key,
        "arm": cell.arm,
        "label": cell.label,
        "group": cell.group,
        "swept": cell.swept,
        "reference_arm": suite.reference_arm,
        "length_from": cell.reference and asdict(cell.reference),
        "settings": settings,
    }
    if cell.config.kind != "reconstruction":  # A record without a kind is a reconstruction's.
        known["kind"] = cell.config.kind
    known |= _search_of(cell) | _judged(cell, ends, store)
    error = next(filter(None, (_first_failure(end, store) for end in ends)), None)
    if all(end.computed(store) for end in ends):
        stages = _described(ends, store)
        budgets = [s["config"]["tokenizer"]["budgets"] for s in stages if s["stage"] == "tokenizer"]
        if budgets:
            settings["tokenizer"]["budgets"] = budgets[-1]
        try:
            found = known | _results(cell, ends, stages, store)
            return parse_record(json.dumps(found), where=f"record of {cell.label}")
        except UserError as refused:
            error = str(refused)
    status = "pending" if error is None else "failed"
    early = known.get("stop_early")
    if early and early["stopped_at"] is not None:
        status = "stopped"
        error = f"tokenizer: stopped early at step {early['stopped_at']} of {early['steps']}"
    unfinished: dict[str, Any] = {
        "status": status,
        "error": error,
        "stages": [],
        "provenance": provenance(),
    }
    return parse_record(json.dumps(known | unfinished), where=f"record of {cell.label}")


def _search_of(cell: Cell) -> dict[str, Any]:
    """The search that a cell is of, if it is of one."""
    if cell.search is None:
        return {}
    one = cell.search.search
    return {
        "search": {
            **{"name": cell.search.name, "algorithm": one.algorithm, "trial": cell.search.trial},
            **{"samples": one.samples, "objectives": one.metric, "space": one.space},
        }
    }


def _judged(cell: Cell, ends: tuple[Node, ...], store: Store) -> dict[str, Any]:
    """What the training of a cell's tokenizer was judged by, if it could be stopped early."""
    races = [node for node in upstream(*ends) if node.race]
    if cell.race is None or not races:
        return {}
    (training,) = races
    spec = training.spec(store)
    rungs = Halving(store, training.race[0].name).of(spec.key) if spec else []
    stopped = training.stopped(store)
    return {
        "stop_early": {
            **{"metric": cell.race.rule.metric, "steps": cell.config.training.steps},
            "rungs": [{"step": one.step, "value": one.value} for one in rungs],
            "stopped_at": stopped.step if stopped else None,
        }
    }


def _described(nodes: tuple[Node, ...], store: Store) -> list[dict[str, Any]]:
    specs = [one.spec(store) for one in upstream(*nodes)]
    return [store.description(spec.stage, spec.key) for spec in specs if spec is not None]


def _results(
    cell: Cell, ends: tuple[Node, ...], stages: list[dict[str, Any]], store: Store
) -> dict[str, Any]:
    """The results of a finished cell, from its stages.

    Raises:
        UserError: a stage of another package has metrics that are not declared.
    """
    spec, names = ends[0].spec(store), training_names(stages)
    assert spec is not None, "the store has it"
    last = store.description(spec.stage, spec.key)
    result = with_derived(last["result"])
    others = []
    for end in ends[1:]:
        described = _described((end,), store)[-1]
        if end.stage in OURS:
            result = with_diagnostic(result, described["result"])
        else:
            others.append(described)
    if others:
        metrics = result.get("metrics", {})
        result = {**result, "metrics": {**metrics, **extra_metrics(others, metrics)}}
    return {
        "status": "done",
        "error": None,
        **result,
        "images": _images(spec, store),
        "gallery": _gallery(spec, store),
        **({"codesign": codesigned(stages)} if _is_codesigned(cell, stages) else {}),
        "histories": {
            names[s["key"]]: s["result"]["history"] for s in stages if "history" in s["result"]
        },
        "stages": [
            {name: s[name] for name in TOOK} | (_training(s) if s["stage"] == "tokenizer" else {})
            for s in stages
        ],
        "provenance": last["provenance"],
    }


def _training(stage: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in stage["result"].items() if name in TRAINING}


def _images(spec: StageSpec, store: Store) -> str | None:
    """The cell's table of results per image, relative to the store; a throughput has none."""
    table = store.artifact(spec.stage, spec.key) / "images.parquet"
    return table.relative_to(store.root).as_posix() if table.is_file() else None


def _gallery(spec: StageSpec, store: Store) -> str | None:
    """The folder with the cell's gallery, relative to the store, if there is one."""
    folder = store.artifact(spec.stage, spec.key)
    there = (folder / "gallery.json").is_file()
    return folder.relative_to(store.root).as_posix() if there else None


def _is_codesigned(cell: Cell, stages: list[dict[str, Any]]) -> bool:
    """Whether a tokenizer was trained in rounds; a throughput may do without any."""
    return cell.config.codesign is not None and any(s["stage"] == "tokenizer" for s in stages)


def _first_failure(node: Node, store: Store) -> str | None:
    for need in node.needs:
        error = _first_failure(need, store)
        if error is not None:
            return error
    spec = node.spec(store)
    if spec is None:
        return None
    error = store.failure(spec.stage, spec.key)
    return None if error is None else f"{spec.stage}: {error}"


def write_record(store: Store, record: Record) -> Path:
    """Write a record aside, then rename it into place.

    Raises:
        UserError: a record of a newer schema lies there.
    """
    path = record_path(store, record.suite, record.cell_key)
    refuse_newer(path)
    write_summed(path, record.plain())
    return path


def write_run(
    store: Store, suite: Suite, records: list[Record], *, started: str, say: Callable[[str], None]
) -> list[Path]:
    """Write the records of a run that was started then, and that it is of these cells.

    A run that was started later keeps what it has written: its cells stay the current ones.

    Raises:
        UserError: a record of a newer schema lies there.
    """
    folder = store.root / "records" / suite.name
    cells = tuple(record.cell_key for record in records)
    with store.locked(f"records-{suite.name}"):
        try:
            runs = read_runs(folder)
        except Damaged:
            say(f"warning: {folder / RUNS}: damaged, and written anew")
            runs = []
        kept = {key for run in runs if run.started > started for key in run.cells}
        for record in records:
            if record.cell_key not in kept:
                write_record(store, record)
        run = Run(started, started, str(suite.path.absolute()), cells)
        runs = with_run(run, runs)
        write_runs(folder, runs)
    if set(runs[-1].cells) != set(cells):
        say(f"{suite.name}: superseded by a run that was started later, of {runs[-1].file}")
    elif others := len(list(folder.glob("*.json"))) - len(cells):
        say(f"{suite.name}: {left_out(others)}")
    return [record_path(store, suite.name, key) for key in cells]


def require_writable_records(store: Store, suite: Suite) -> None:
    """Refuse a suite whose records a newer adatok-bench has written, before anything is computed.

    Raises:
        UserError: names the first such file.
    """
    with contextlib.suppress(Damaged):
        read_runs(store.root / "records" / suite.name)
    for cell in suite.cells:
        refuse_newer(record_path(store, suite.name, cell.key))
