"""Records: the self-describing result file of each cell, written whether it succeeded or not."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.errors import UserError
from bench.graph import Node
from bench.provenance import provenance
from bench.stage import StageSpec
from bench.store import Store, write_json
from bench.suite import Cell, Suite

SCHEMA_VERSION = 1


def record_path(store: Store, suite_name: str, cell_key: str) -> Path:
    """Where the record of a cell lies."""
    return store.root / "records" / suite_name / f"{cell_key}.json"


def build_record(suite: Suite, cell: Cell, node: Node, store: Store) -> dict[str, Any]:
    """The record of a cell as the store stands now: `done`, `failed` or `pending`."""
    spec = node.spec(store)
    settings = _plain(cell.settings)
    record: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "suite": suite.name,
        "question": suite.question,
        "cell_key": cell.key,
        "arm": cell.arm,
        "label": cell.label,
        "group": cell.group,
        "swept": cell.swept,
        "reference_arm": suite.reference_arm,
        "length_from": cell.reference and _plain(asdict(cell.reference)),
        "settings": settings,
        "status": "pending",
        "error": None,
    }
    if spec is None or not store.has(spec.stage, spec.key):
        error = _first_failure(node, store)
        if error is not None:
            record |= {"status": "failed", "error": error}
        return record | {"stages": [], "provenance": provenance()}
    stages = [
        store.description(stage.stage, stage.key)
        for stage in (upstream.spec(store) for upstream in _upstream(node))
        if stage is not None
    ]
    evaluation = stages[-1]
    budgets = [s["config"]["tokenizer"]["budgets"] for s in stages if s["stage"] == "tokenizer"]
    settings["tokenizer"]["budgets"] = budgets[-1]
    return record | {
        "status": "done",
        **evaluation["result"],
        "images": _images(spec, store),
        "gallery": _gallery(spec, store),
        "histories": {
            _history_name(s): s["result"]["history"] for s in stages if "history" in s["result"]
        },
        "stages": [
            {
                name: s[name]
                for name in ("stage", "key", "seconds", "peak_memory_bytes", "resources")
            }
            for s in stages
        ],
        "provenance": evaluation["provenance"],
    }


def _images(spec: StageSpec, store: Store) -> str:
    """The cell's table of results per image, relative to the store."""
    table = store.artifact(spec.stage, spec.key) / "images.parquet"
    return table.relative_to(store.root).as_posix()


def _gallery(spec: StageSpec, store: Store) -> str | None:
    """The folder with the cell's gallery, relative to the store, if there is one."""
    folder = store.artifact(spec.stage, spec.key)
    there = (folder / "gallery.json").is_file()
    return folder.relative_to(store.root).as_posix() if there else None


def _history_name(stage: dict[str, Any]) -> str:
    return "finetuning" if "start" in stage["inputs"] else stage["stage"]


def _plain(value: Any) -> Any:
    """As JSON would give it back: tuples as lists."""
    return json.loads(json.dumps(value))


def _upstream(node: Node) -> list[Node]:
    """A node's inputs, theirs before them, and the node itself last. Budget sources are not."""
    order: dict[int, Node] = {}

    def visit(one: Node) -> None:
        for need in one.inputs.values():
            visit(need)
        order.setdefault(id(one), one)

    visit(node)
    return list(order.values())


def _first_failure(node: Node, store: Store) -> str | None:
    for need in node.needs:
        error = _first_failure(need, store)
        if error is not None:
            return error
    spec = node.spec(store)
    error = store.failure(spec.stage, spec.key) if spec is not None else None
    return None if error is None else f"{spec.stage}: {error}"


def write_record(store: Store, record: dict[str, Any]) -> Path:
    """Write a record aside, then rename it into place.

    Raises:
        UserError: a record of a newer schema lies there.
    """
    path = record_path(store, record["suite"], record["cell_key"])
    _refuse_newer(path)
    write_json(path, record)
    return path


def require_writable_records(store: Store, suite: Suite) -> None:
    """Refuse a suite whose records a newer adatok-bench has written, before anything is computed.

    Raises:
        UserError: names the first such file.
    """
    for cell in suite.cells:
        _refuse_newer(record_path(store, suite.name, cell.key))


def _refuse_newer(path: Path) -> None:
    """A record that is torn holds nothing to lose, and may be written anew."""
    try:
        found = json.loads(path.read_text("utf-8"))
    except (FileNotFoundError, ValueError):
        return
    if isinstance(found, dict) and found.get("schema_version", 0) > SCHEMA_VERSION:
        raise UserError(
            f"{path}: written by a newer adatok-bench and not overwritten; update this one, or "
            "give another --store"
        )


def read_records(folder: Path) -> list[dict[str, Any]]:
    """All records of a suite's folder, by file name.

    Raises:
        UserError: there are none, one is of a newer schema, or one is not a whole record.
    """
    records = [_read_record(path) for path in sorted(folder.glob("*.json"))]
    if not records:
        raise UserError(f"no records in {folder}; run the suite first, or give --store")
    return records


def _read_record(path: Path) -> dict[str, Any]:
    try:
        record = json.loads(path.read_text("utf-8"))
    except ValueError as error:  # Not JSON, or not UTF-8.
        raise UserError(
            f"{path}: not a whole record ({error}); run its suite again, which writes it anew"
        ) from None
    if not isinstance(record, dict) or not isinstance(record.get("schema_version"), int):
        raise UserError(f"{path}: not a record of adatok-bench; move it elsewhere")
    if record["schema_version"] > SCHEMA_VERSION:
        raise UserError(f"{path}: written by a newer adatok-bench; update this one to read it")
    return record
