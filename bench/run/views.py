"""Views of a suite's records, its reports and its runs in MLflow, renewed where they would differ.

A view is left as it is while the records, the code and the view's own files are those that
`views/<suite>.<view>.json` in the store remembers.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import os
import sys
from collections.abc import Iterable
from dataclasses import asdict
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from bench.files import content_key, sealed, unsealed, write_json
from bench.records.report_plugins import Report, render_reports
from bench.records.runs import read_runs
from bench.run.runner import RunResult, Say
from bench.store.store import Store
from bench.tracker.connection import database_file
from bench.tracker.mirror import mirror


def show_reports(
    suite: str, names: tuple[str, ...], result: RunResult, store: Store
) -> list[Report]:
    """The reports of these names, in order; none where a run that was started later has others.

    Raises:
        UserError: a report refuses the records.
    """
    with store.locked(f"views-{suite}"):
        if _superseded(result):
            return []
        folder, memory = store.root / "reports" / suite, _memory(store, suite, "reports")
        made_of = content_key([code_digest(), _digests(result.paths)])
        known = _read(memory)
        fresh = known["reports"] if known.get("made_of") == made_of else {}
        made = {name: fresh[name] for name in names if name in fresh}
        reports = []
        for name in names:
            if name not in made or _digests(made[name]["files"]) != made[name]["files"]:
                (report,) = render_reports((name,), result.records, folder, store=store.root)
                made[name] = {**asdict(report), "files": _digests(report.files)}
            files = [Path(path) for path in made[name]["files"]]
            reports.append(Report(**{**made[name], "files": files}))
        _remove_older(known.get("reports", {}), made)
        write_json(memory, sealed({"made_of": made_of, "reports": made}))
        return reports


def _remove_older(known: dict[str, Any], made: dict[str, Any]) -> None:
    """Remove files that reports of an earlier version of the suite had and these have not."""
    files = [
        {path for one in reports.values() for path in one["files"]} for reports in (known, made)
    ]
    for path in files[0] - files[1]:
        Path(path).unlink(missing_ok=True)


def show_in_mlflow(
    suite: str, result: RunResult, store: Store, *, uri: str, say: Say = lambda line: None
) -> None:
    """The records and the files of the reports in MLflow at `uri`; `say` hears of what was mended.

    Whether a server still has what it was given only the server knows; a database that is a file
    tells by its size and time.

    Raises:
        TrackerError: the tracker is down, refuses, or is none.
    """
    with store.locked(f"views-{suite}"):
        if _superseded(result):
            return
        memory = _memory(store, suite, "mlflow")
        reports = sorted((store.root / "reports" / suite).rglob("*"))
        shown = [code_digest(), uri, _digests(result.paths), _digests(reports)]
        made_of = content_key(shown)
        database = database_file(uri)
        if database and database.is_file() and _read(memory) == _mirrored(made_of, database):
            return
        mirror(result.records, store, uri=uri, say=say)
        if database and database.is_file():
            write_json(memory, sealed(_mirrored(made_of, database)))


def _superseded(result: RunResult) -> bool:
    """Whether a run that was started later is of other cells: the views are to show those."""
    runs = read_runs(result.paths[0].parent)
    return bool(runs) and set(runs[-1].cells) != {record.cell_key for record in result.records}


@functools.cache
def code_digest() -> str:
    """Identity of the code that makes views: our packages, plug-ins, and versions of all else."""
    points = entry_points()
    packages = {"adatok_core", "bench"}
    for group in (group for group in points.groups if group.startswith("adatok_bench.")):
        packages |= {point.module.partition(".")[0] for point in points.select(group=group)}
    files = [path for package in sorted(packages) for path in _sources(package)]
    installed = {
        path.name
        for folder in map(Path, sys.path)
        # Ray brings packages of its own, in a folder of its own, once it is imported.
        if folder.is_dir() and not {"site-packages", "dist-packages"} & {*folder.parent.parts}
        for path in folder.glob("*.dist-info")
    }
    return content_key([_digests(files), sorted(installed)])


def _sources(package: str) -> list[Path]:
    spec = importlib.util.find_spec(package)
    if spec is None:
        return []
    if spec.submodule_search_locations is None:
        return [Path(spec.origin)] if spec.origin else []
    found = (path for place in spec.submodule_search_locations for path in Path(place).rglob("*"))
    return sorted(path for path in found if path.suffix != ".pyc")


def _digests(paths: Iterable[str | os.PathLike[str]]) -> dict[str, str]:
    """SHA-256 of the files among these paths, by path."""
    return {
        str(path): hashlib.sha256(Path(path).read_bytes()).hexdigest()
        for path in paths
        if Path(path).is_file()
    }


def _mirrored(made_of: str, database: Path) -> dict[str, Any]:
    about = database.stat()
    return {"made_of": made_of, "bytes": about.st_size, "changed_ns": about.st_mtime_ns}


def _memory(store: Store, suite: str, view: str) -> Path:
    return store.root / "views" / f"{suite}.{view}.json"


def _read(memory: Path) -> dict[str, Any]:
    """The content of a memory: nothing where the file is missing or torn."""
    try:
        return unsealed(memory.read_bytes())
    except (OSError, ValueError):
        return {}
