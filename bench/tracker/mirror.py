"""A suite's records in MLflow: an experiment, a run for the suite, and one below for each cell.

The driver is the only writer. A run is found again by its `cell_key` tag and left alone while its
record has not changed, so mirroring twice changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

from filelock import Timeout

from bench.files import canonical_json, content_key, file_sha256
from bench.records.record import Record
from bench.records.runs import Run as SuiteRun
from bench.records.runs import read_runs, superseded_by
from bench.records.settings_paths import varying
from bench.store.store import Store
from bench.tracker.artifacts import log_artifacts
from bench.tracker.connection import connected, in_one_line, tracking_uri
from bench.tracker.database import set_aside_damaged
from bench.tracker.moved import FOLDER, artifacts, follow, place
from bench.tracker.parameters import parameters, repetition
from bench.tracker.patience import SECONDS_OF_ALL, OutOfPatience
from bench.tracker.points import points
from bench.tracker.stages import StageRun, stages_of

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

Say = Callable[[str], None]

# Raise it when a run shows more or other things of the same record.
VIEW_VERSION = 2
METRICS_PER_BATCH, PARAMETERS_PER_BATCH = 1000, 100


def mirror(
    records: list[Record],
    store: Store,
    *,
    uri: str,
    superseded: Sequence[Record] = (),
    say: Say = lambda line: None,
) -> None:
    """Bring MLflow at `uri` up to date with the records of one suite and the files of its reports.

    `records` are of its current cells. The runs of others have the tag `superseded`, which says by
    the run of which time; it is `no` for current ones. `superseded` records get a run, too. `say`
    hears of what was mended on the way.

    Raises:
        TrackerError: the tracker is down, refuses, takes too long, or is none.
    """
    with in_one_line(uri), _alone(store):
        set_aside_damaged(store)
    with connected(uri) as client, _alone(store):
        if uri == tracking_uri(store) and follow(store):
            say(f"MLflow: the store was moved; {uri} now names its artifacts under {store.root}")
        current = frozenset(record.cell_key for record in records)
        experiment = _experiment(client, records[0].suite, store, uri, say)
        versions = read_runs(store.root / "records" / records[0].suite)
        view = _View(client, experiment, store, current, versions)
        runs = list(_runs(client, view.experiment))
        parent = view.parent(records, runs)
        cells = [run for run in runs if "cell_key" in run.data.tags]
        shown = varying([*records, *superseded])
        for record in (*records, *superseded):
            known = [run for run in cells if run.data.tags["cell_key"] == record.cell_key]
            view.cell(record, known, parent=parent, shown=parameters(record, shown))
        view.tidy(runs, parent=parent, keys=current | {one.cell_key for one in superseded})
        view.reports(parent, store.root / "reports" / records[0].suite)
        failed = any(not record.done for record in records)
        client.set_terminated(parent, status="FAILED" if failed else "FINISHED")


@contextmanager
def _alone(store: Store) -> Iterator[None]:
    """While no other process does this for the store; for so long nobody waits without end."""
    try:
        with store.locked("mlflow", seconds=SECONDS_OF_ALL):
            yield
    except Timeout:
        raise OutOfPatience("another adatok-bench is at it on this store") from None


def _experiment(client: MlflowClient, suite: str, store: Store, uri: str, say: Say) -> str:
    experiment = client.get_experiment_by_name(suite)
    if experiment is None:
        location = f"{artifacts(store)}/{quote(suite)}" if uri.startswith("sqlite:") else None
        return str(client.create_experiment(suite, location))
    if experiment.lifecycle_stage == "deleted":
        client.restore_experiment(experiment.experiment_id)
        say(f"MLflow: the experiment {suite} was deleted there, and is restored")
    return str(experiment.experiment_id)


def _runs(client: MlflowClient, experiment: str) -> Iterator[Run]:
    token = None
    while True:
        page = client.search_runs([experiment], max_results=1000, page_token=token)
        yield from page
        token = page.token
        if not token:
            return


@dataclass(frozen=True)
class _View:
    client: MlflowClient
    experiment: str
    store: Store
    current: frozenset[str]
    versions: list[SuiteRun]

    def superseded(self, key: str) -> str:
        """The tag of a cell's run: `no`, or the time of the run that took its place."""
        if key in self.current:
            return "no"
        by = superseded_by(key, self.versions)
        return by.when if by else "yes"

    def parent(self, records: list[Record], runs: list[Run]) -> str:
        """The run of the suite, reopened: a resumed or edited suite goes on in the one it has."""
        tags = {
            "suite": records[0].suite,
            "kind": "suite",
            "suite_key": content_key(sorted(record.cell_key for record in records)),
            "mlflow.note.content": records[0].question,
            "cells": str(len(records)),
            "failed": str(sum(not record.done for record in records)),
            "store": place(self.store),
        }
        found = [run for run in runs if "suite_key" in run.data.tags]
        if not found:
            run = self.client.create_run(self.experiment, tags=tags, run_name=tags["suite"])
        else:
            run = min(found, key=lambda run: run.info.start_time)
            self.client.update_run(run.info.run_id, status="RUNNING")
            for name, value in tags.items():
                self.client.set_tag(run.info.run_id, name, value)
        run_id: str = run.info.run_id
        return run_id

    def cell(self, record: Record, known: list[Run], *, parent: str, shown: dict[str, str]) -> None:
        """Keep the cell's one complete run of this record, or write it anew."""
        digest = _digest(record)
        complete = [
            run
            for run in known
            if run.data.tags.get("record") == digest
            and run.info.status != "RUNNING"
            and not self.lacks_files(run)
        ]
        # The others are half written or of an older record, and points cannot be taken back.
        for run in known:
            if run not in complete[:1]:
                self.client.delete_run(run.info.run_id)
        if not complete:
            self.write(record, digest, parent=parent, shown=shown)
            return
        run = complete[0]
        self.place_run(run, parent)
        # What varies may be more since the suite has grown.
        new = {name: text for name, text in shown.items() if name not in run.data.params}
        self.log_parameters(run.info.run_id, new)

    def lacks_files(self, run: Run) -> bool:
        """Whether the artifacts of a run that lie in the store are gone from there."""
        rest = run.info.artifact_uri.removeprefix(f"{artifacts(self.store)}/")
        here = rest != run.info.artifact_uri
        return here and not (self.store.root / FOLDER / unquote(rest) / "record.json").is_file()

    def write(self, record: Record, digest: str, *, parent: str, shown: dict[str, str]) -> None:
        """A run whose tag `record` says, at the end, that it is whole."""
        stages = stages_of(record, self.store)
        began = _milliseconds([stage.began for stage in stages], min)
        ended = _milliseconds([stage.ended for stage in stages], max)
        run = self.client.create_run(
            self.experiment,
            start_time=began,
            tags={
                "mlflow.parentRunId": parent,
                "store": place(self.store),
                "superseded": self.superseded(record.cell_key),
                **_tags(record),
            },
            run_name=record.label[:250],
        )
        run_id = run.info.run_id
        self.log_parameters(run_id, shown)
        self.log_metrics(run_id, record, stages, timestamp=ended or run.info.start_time)
        log_artifacts(self.client, run_id, record, self.store)
        self.client.set_tag(run_id, "record", digest)
        status = "FINISHED" if record.done else "FAILED"
        self.client.set_terminated(run_id, status=status, end_time=ended)

    def place_run(self, run: Run, parent: str) -> None:
        """Put a cell's run under the suite's, among the current ones or not."""
        mark = self.superseded(run.data.tags["cell_key"])
        for name, value in (("mlflow.parentRunId", parent), ("superseded", mark)):
            if run.data.tags.get(name) != value:
                self.client.set_tag(run.info.run_id, name, value)

    def log_parameters(self, run_id: str, values: dict[str, str]) -> None:
        from mlflow.entities import Param

        params = [Param(name, text) for name, text in values.items()]
        for first in range(0, len(params), PARAMETERS_PER_BATCH):
            self.client.log_batch(run_id, params=params[first : first + PARAMETERS_PER_BATCH])

    def log_metrics(
        self, run_id: str, record: Record, stages: list[StageRun], *, timestamp: int
    ) -> None:
        from mlflow.entities import Metric

        metrics = [
            Metric(point.name, point.value, timestamp, point.step)
            for point in points(record, stages)
        ]
        for first in range(0, len(metrics), METRICS_PER_BATCH):
            self.client.log_batch(run_id, metrics=metrics[first : first + METRICS_PER_BATCH])

    def tidy(self, runs: list[Run], *, parent: str, keys: frozenset[str]) -> None:
        """Leave nothing running and no second parent of cells that an edited suite has lost."""
        for run in runs:
            tags, run_id = run.data.tags, run.info.run_id
            if "suite_key" in tags and run_id != parent:
                self.client.delete_run(run_id)
            if "cell_key" not in tags or tags["cell_key"] in keys:
                continue
            ours = tags.get("store", place(self.store)) == place(self.store)
            if run.info.status == "RUNNING" and ours:
                self.client.delete_run(run_id)  # Half written; `sync` has its record, if any.
            elif ours:
                self.place_run(run, parent)
            elif tags.get("mlflow.parentRunId") != parent:
                self.client.set_tag(run_id, "mlflow.parentRunId", parent)

    def reports(self, parent: str, folder: Path) -> None:
        """The files of the suite's reports, unless the run has them as they are."""
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        if not files:
            return
        digest = content_key([[str(path.relative_to(folder)), file_sha256(path)] for path in files])
        if self.client.get_run(parent).data.tags.get("reports") != digest:
            self.client.log_artifacts(parent, str(folder), "reports")
            self.client.set_tag(parent, "reports", digest)


def _tags(record: Record) -> dict[str, str]:
    return {
        "suite": record.suite,
        "cell_key": record.cell_key,
        "label": record.label,
        "arm": record.arm,
        "group": record.group,
        "seed": repetition(record),
        "kind": record.kind,
        "status": record.status,
        "error": record.error or "",
        "protocol": record.protocol_hash or "",
        "git_commit": record.provenance.git_commit or "",
        "git_dirty": canonical_json(record.provenance.git_dirty),
    }


def _digest(record: Record) -> str:
    """Of what a run shows, but for provenance: a rerun without new results is the same record."""
    shown = {name: value for name, value in record.plain().items() if name != "provenance"}
    return content_key([VIEW_VERSION, shown])


def _milliseconds(times: list[float | None], pick: Any) -> int | None:
    known = [time for time in times if time is not None]
    return round(1000 * pick(known)) if known else None
