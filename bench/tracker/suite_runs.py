"""Runs of a suite in its experiment: one for the suite, and one below it for each cell.

A cell's run is found again by its `cell_key` tag and left alone while its record has not changed.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from bench.files import canonical_json, content_key, file_sha256
from bench.records.record import Record
from bench.records.runs import Run as SuiteRun
from bench.records.runs import superseded_by
from bench.store.store import Store
from bench.tracker.artifacts import log_artifacts
from bench.tracker.experiments import DRIVER, goes_on, is_ours, kill_left, runs_of
from bench.tracker.inputs import log_inputs
from bench.tracker.moved import FOLDER, artifacts, place
from bench.tracker.parameters import repetition
from bench.tracker.points import Point, points
from bench.tracker.stage_runs import Link, StageRuns
from bench.tracker.stages import StageRun, Stages, curves_of, shared, trainings_of
from bench.tracker.writing import log_batches

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

# Raise it when a run shows more or other things of the same record.
VIEW_VERSION = 3
DONE, OF = "progress/stages_done", "progress/stages"
_SUITE_KEY, _CELL_KEY = "suite_key", "cell_key"


@dataclass(frozen=True)
class About:
    """What is known of a suite before its cells have records."""

    suite: str
    question: str
    cells: tuple[str, ...]
    failed: int = 0

    @staticmethod
    def of(records: Sequence[Record]) -> About:
        """That of its records."""
        first, keys = records[0], tuple(record.cell_key for record in records)
        failed = sum(not (record.done or record.stopped) for record in records)
        return About(first.suite, first.question, keys, failed)


@dataclass
class SuiteRuns:
    """They as a tracker has them; `stage_runs` has those of the stages that the cells share.

    `driver` is whose they are while the suite runs; `versions` are the runs that it had so far.
    """

    client: MlflowClient
    experiment: str
    store: Store
    about: About
    stage_runs: StageRuns
    versions: Sequence[SuiteRun] = ()
    driver: str = ""
    runs: list[Run] = field(default_factory=list)
    parent: str = ""
    _cells: dict[str, list[Run]] = field(default_factory=dict)
    _stages: Stages = field(init=False)
    _progress: tuple[int, int] | None = None
    _began: int = 0
    _goes_on: bool = False

    def __post_init__(self) -> None:
        self._stages = Stages(self.store)

    def look(self) -> None:
        """Read what there is, mark what dead drivers have left, and reopen the suite's run.

        A resumed or edited suite goes on in the one it has.
        """
        self.runs = runs_of(self.client, self.experiment)
        kill_left(self.client, self.runs, self.store, but=self.driver)
        for run in self.runs:
            if _CELL_KEY in run.data.tags:
                self._cells.setdefault(run.data.tags[_CELL_KEY], []).append(run)
        self._reopen()

    def _reopen(self) -> None:
        about = self.about
        tags = {
            "suite": about.suite,
            "kind": "suite",
            _SUITE_KEY: content_key(sorted(about.cells)),
            "mlflow.note.content": about.question,
            "cells": str(len(about.cells)),
            "failed": str(about.failed),
            "store": place(self.store),
            DRIVER: self.driver,
        }
        found = [run for run in self.runs if _SUITE_KEY in run.data.tags]
        if not found:
            run = self.client.create_run(self.experiment, tags=tags, run_name=about.suite)
        else:
            run = min(found, key=lambda run: run.info.start_time)
            self._goes_on = goes_on(run, self.store, but=self.driver)
            if self._goes_on:
                del tags[DRIVER]
            self.client.update_run(run.info.run_id, status="RUNNING")
            self._set(run, tags)
        self.parent, self._began = run.info.run_id, run.info.start_time
        if {DONE, OF} <= {*run.data.metrics}:
            self._progress = (round(run.data.metrics[DONE]), round(run.data.metrics[OF]))

    def progress(self, done: int, total: int) -> None:
        """Stages done of all, over seconds since the suite's run began; logged where it differs."""
        if self._progress != (done, total):
            second = max(0, round(time.time() - self._began / 1000))
            row = [Point(DONE, done, second), Point(OF, total, second)]
            log_batches(self.client, self.parent, rows=[row])
            self._progress = (done, total)

    def end(self, *, status: str) -> None:
        """End the suite's run, unless another driver goes on with it."""
        if not self._goes_on:
            self.client.set_terminated(self.parent, status=status)

    def cell(self, record: Record, shown: dict[str, str]) -> None:
        """Keep the cell's one complete run of this record, or write it anew, with its stages'."""
        stages = self._stages.of(record)
        links = self._links(record, stages)
        digest = _digest(record)
        known = self._cells.get(record.cell_key, [])
        complete = [
            run
            for run in known
            if run.data.tags.get("record") == digest
            and run.info.status != "RUNNING"
            and not self._lacks_files(run)
        ]
        # The others are half written or of an older record, and points cannot be taken back.
        for run in known:
            if run not in complete[:1]:
                self.client.delete_run(run.info.run_id)
        if not complete:
            self._write(record, digest, stages, links, shown)
            return
        run = complete[0]
        self._cells[record.cell_key] = [run]
        self._set(run, {**self._place(record.cell_key), **_link_tags(record, stages, links)})
        # What varies may be more since the suite has grown.
        new = {name: text for name, text in shown.items() if name not in run.data.params}
        log_batches(self.client, run.info.run_id, parameters=new)

    def tidy(self, keys: frozenset[str]) -> None:
        """Leave nothing running and no second parent of cells that an edited suite has lost.

        `keys` are of the cells that were seen to.
        """
        for run in self.runs:
            tags, run_id = run.data.tags, run.info.run_id
            if _SUITE_KEY in tags and run_id != self.parent:
                self.client.delete_run(run_id)
            if _CELL_KEY not in tags or tags[_CELL_KEY] in keys:
                continue
            ours = is_ours(run, self.store)
            if run.info.status == "RUNNING" and ours:
                self.client.delete_run(run_id)  # Half written; `sync` has its record, if any.
            elif ours:
                self._set(run, self._place(tags[_CELL_KEY]))
            else:
                self._set(run, {"mlflow.parentRunId": self.parent})

    def reports(self, folder: Path) -> None:
        """The files of the suite's reports, unless the run has them as they are."""
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        if not files:
            return
        digest = content_key([[str(path.relative_to(folder)), file_sha256(path)] for path in files])
        if self.client.get_run(self.parent).data.tags.get("reports") != digest:
            self.client.log_artifacts(self.parent, str(folder), "reports")
            self.client.set_tag(self.parent, "reports", digest)

    def _links(self, record: Record, stages: Sequence[StageRun]) -> dict[str, Link]:
        """The runs of the stages that others may share, by key; they are written where missing."""
        curves, keys = curves_of(record), shared(stages)
        found = {}
        for stage in stages:
            link = None
            if stage.key in keys:
                link = self.stage_runs.whole(stage, curves.get(stage.key, ()))
            if link is not None:
                found[stage.key] = link
        return found

    def _lacks_files(self, run: Run) -> bool:
        """Whether the artifacts of a run that lie in the store are gone from there."""
        rest = run.info.artifact_uri.removeprefix(f"{artifacts(self.store)}/")
        here = rest != run.info.artifact_uri
        return here and not (self.store.root / FOLDER / unquote(rest) / "record.json").is_file()

    def _write(
        self,
        record: Record,
        digest: str,
        stages: Sequence[StageRun],
        links: dict[str, Link],
        shown: dict[str, str],
    ) -> None:
        """A run that is whole once it no longer runs; its tag `record` says of what."""
        began = _milliseconds([stage.began for stage in stages], min)
        ended = _milliseconds([stage.ended for stage in stages], max)
        run = self.client.create_run(
            self.experiment,
            start_time=began,
            tags={
                **self._place(record.cell_key),
                "store": place(self.store),
                "record": digest,
                **_tags(record),
                **_link_tags(record, stages, links),
            },
            run_name=record.label[:250],
        )
        run_id = run.info.run_id
        self._cells[record.cell_key] = [run]
        # Points last: MLflow reads all that a run has for each file that it is given.
        log_inputs(
            self.client,
            run_id,
            sources=[stage.key for stage in stages if stage.stage == "data"],
            models=[link.model for link in links.values() if link.model],
            store=self.store,
        )
        addresses = {key: link.address for key, link in links.items()}
        tags = log_artifacts(
            self.client, run_id, record, self.store, stages=stages, links=addresses
        )
        log_batches(
            self.client,
            run_id,
            rows=[list(points(record, stages))],
            parameters=shown,
            tags=tags,
            timestamp=ended or run.info.start_time,
        )
        # Stopped early is neither: MLflow calls it killed, and the tag `status` why.
        status = "FINISHED" if record.done else "KILLED" if record.stopped else "FAILED"
        self.client.set_terminated(run_id, status=status, end_time=ended)

    def _place(self, key: str) -> dict[str, str]:
        """Where a cell's run is: under the suite's, and among the current ones or not.

        The tag `superseded` is `no`, or the time of the run that took its place.
        """
        mark = "no"
        if key not in self.about.cells:
            by = superseded_by(key, list(self.versions))
            mark = by.when if by else "yes"
        return {"mlflow.parentRunId": self.parent, "superseded": mark}

    def _set(self, run: Run, tags: dict[str, str]) -> None:
        for name, value in tags.items():
            if run.data.tags.get(name) != value:
                self.client.set_tag(run.info.run_id, name, value)


def _link_tags(
    record: Record, stages: Sequence[StageRun], links: dict[str, Link]
) -> dict[str, str]:
    """Ids of the trainings' runs, by the names of their histories, and links to all for people."""
    names = {key: name for name, key in trainings_of(record).items()}
    ids = {f"training/{names[key]}": link.run_id for key, link in links.items() if key in names}
    shown = [
        f"[{stage.name}]({links[stage.key].address})" for stage in stages if stage.key in links
    ]
    return {**ids, **({"mlflow.note.content": f"Made of {', '.join(shown)}"} if shown else {})}


def _tags(record: Record) -> dict[str, str]:
    return {
        "suite": record.suite,
        _CELL_KEY: record.cell_key,
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
    shown = record.model_dump(mode="json", exclude_unset=True, exclude={"provenance", "histories"})
    own = set(record.histories) - set(trainings_of(record))
    shown |= {name: [row.plain() for row in record.histories[name]] for name in own}
    return content_key([VIEW_VERSION, shown])


def _milliseconds(times: list[float | None], pick: Any) -> int | None:
    known = [time for time in times if time is not None]
    return round(1000 * pick(known)) if known else None
