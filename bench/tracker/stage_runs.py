"""Runs of stages: one for each, whichever cells and suites share it, with the curve of a training.

They lie in an experiment of their own, so that a suite's shows its cells.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bench.files import canonical_json, content_key
from bench.records.settings_paths import flatten
from bench.store.store import Store
from bench.tracker.experiments import DRIVER, goes_on, is_ours, kill_left, runs_of
from bench.tracker.inputs import log_inputs, make_model
from bench.tracker.moved import place
from bench.tracker.parameters import LONGEST
from bench.tracker.points import Point, curve_points, machine_points
from bench.tracker.stages import StageRun, description
from bench.tracker.writing import log_batches

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

# Raise it when the run of a stage shows more or other things.
VERSION = 1
MODEL = "model_id"


@dataclass(frozen=True)
class Link:
    """Where the run of a stage is, and the model that it made, if it did."""

    run_id: str
    experiment: str
    model: str | None = None

    @property
    def address(self) -> str:
        """In MLflow's pages, from any other one."""
        return f"#/experiments/{self.experiment}/runs/{self.run_id}"


@dataclass
class _Open:
    """A run that is being written, and the last step of its curve."""

    run_id: str
    step: float = -1.0


@dataclass
class StageRuns:
    """All of them as a tracker has them; `driver` is whose they are while they go on."""

    client: MlflowClient
    experiment: str
    store: Store
    driver: str = ""
    _runs: dict[str, list[Run]] = field(default_factory=dict)
    _open: dict[str, _Open] = field(default_factory=dict)
    _whole: dict[str, Link] = field(default_factory=dict)

    def look(self) -> None:
        """Read what there is, and mark what dead drivers have left."""
        runs = runs_of(self.client, self.experiment)
        kill_left(self.client, runs, self.store, but=self.driver)
        for run in runs:
            key = run.data.tags.get("stage_key")
            if key is not None:
                self._runs.setdefault(key, []).append(run)

    def is_whole(self, key: str) -> bool:
        """Whether `whole` has seen to this stage."""
        return key in self._whole

    def begin(self, stage: StageRun) -> bool:
        """Open the run of a stage that is being computed; not where another driver shows it."""
        if stage.key in self._open:
            return True
        if any(goes_on(run, self.store, but=self.driver) for run in self._known(stage.key)):
            return False
        self._remove([run for run in self._known(stage.key) if is_ours(run, self.store)])
        self._create(stage)
        return True

    def add(self, key: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """Add to the curve of an open run the rows of later steps."""
        run = self._open[key]
        new = self._new(key, rows)
        if new:
            log_batches(self.client, run.run_id, rows=map(_points, new))
            run.step = new[-1]["step"]

    def _new(self, key: str, rows: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        return [row for row in rows if row["step"] > self._open[key].step]

    def give_up(self, key: str, *, status: str, error: str = "") -> None:
        """End an open run without a result: `FAILED` or `KILLED`."""
        run = self._open.pop(key)
        if error:
            self.client.set_tag(run.run_id, "error", error)
        self.client.set_terminated(run.run_id, status=status)

    @property
    def open_keys(self) -> list[str]:
        """Keys of the stages whose runs go on."""
        return list(self._open)

    def whole(self, stage: StageRun, curve: Sequence[Any] = ()) -> Link | None:
        """The one run of a stage that was computed, finished or written now.

        `curve` has the rows of one that the store no longer has; without either, there is no run.
        """
        if stage.key not in self._whole:
            link = self._seen_to(stage, curve)
            if link is None:
                return None
            self._whole[stage.key] = link
        return self._whole[stage.key]

    def _seen_to(self, stage: StageRun, curve: Sequence[Any]) -> Link | None:
        digest = content_key([VERSION, stage.key, stage.seconds, stage.rows])
        known = self._known(stage.key)
        whole = [
            run
            for run in known
            if run.data.tags.get("whole") == digest and run.info.status == "FINISHED"
        ]
        going = [run for run in known if goes_on(run, self.store, but=self.driver)]
        if stage.key not in self._open and (whole or going):
            kept = (whole or going)[0]
            self._remove([run for run in whole[1:] if is_ours(run, self.store)])
            return Link(kept.info.run_id, self.experiment, kept.data.tags.get(MODEL))
        if not (curve or stage.began is not None):
            return None
        if stage.key not in self._open:
            self._remove([run for run in known if is_ours(run, self.store)])
            self._create(stage)
        return self._finish(stage, curve, digest)

    def _model_of(self, key: str) -> str | None:
        """The model of a stage that has one, wherever it is known from."""
        if key in self._whole:
            return self._whole[key].model
        tags = (run.data.tags for run in self._known(key) if run.info.status == "FINISHED")
        return next((one[MODEL] for one in tags if MODEL in one), None)

    def _known(self, key: str) -> list[Run]:
        return self._runs.get(key, [])

    def _remove(self, runs: list[Run]) -> None:
        """Delete runs: half written or of an older computation, and points cannot be taken back."""
        for run in runs:
            self.client.delete_run(run.info.run_id)
            if MODEL in run.data.tags:
                self.client.delete_logged_model(run.data.tags[MODEL])
            self._runs[run.data.tags["stage_key"]].remove(run)

    def _create(self, stage: StageRun) -> None:
        tags = {
            "kind": "stage",
            "stage": stage.stage,
            "stage_key": stage.key,
            "label": stage.kind,
            "store": place(self.store),
            **({DRIVER: self.driver} if self.driver else {}),
        }
        began = round(1000 * stage.began) if stage.began is not None else None
        run = self.client.create_run(
            self.experiment, start_time=began, tags=tags, run_name=stage.name
        )
        self._runs.setdefault(stage.key, []).append(run)
        self._open[stage.key] = _Open(run.info.run_id)

    def _finish(self, stage: StageRun, curve: Sequence[Any], digest: str) -> Link:
        run_id = self._open[stage.key].run_id
        about = description(self.store, stage.stage, stage.key)
        rows = about.get("result", {}).get("history") if about else None
        if rows is None:
            rows = [{"step": row.step, **row.values} for row in curve]
        ended = round(1000 * stage.ended) if stage.ended is not None else None
        settings = _settings(stage)
        model = make_model(self.client, self.experiment, run_id, stage, self.store, settings)
        log_batches(
            self.client,
            run_id,
            rows=[*map(_points, self._new(stage.key, rows)), [*machine_points(stage, "system/")]],
            parameters=settings,
            tags={"whole": digest, **({MODEL: model} if model is not None else {})},
        )
        models = [self._model_of(key) for _, key in stage.inputs.values()]
        log_inputs(
            self.client,
            run_id,
            sources=[key for of, key in stage.inputs.values() if of == "data"],
            models=[model for model in models if model is not None],
            store=self.store,
        )
        self.client.set_terminated(run_id, status="FINISHED", end_time=ended)
        del self._open[stage.key]
        return Link(run_id, self.experiment, model)


def _points(row: Mapping[str, Any]) -> list[Point]:
    return list(curve_points(row))


def _settings(stage: StageRun) -> dict[str, str]:
    """The stage's settings by dotted path, as YAML writes them, but for lists that are long."""
    flat = {
        path: value if isinstance(value, str) else canonical_json(value)
        for path, value in flatten(stage.config)
    }
    return {path: text for path, text in flat.items() if len(text) <= LONGEST}
