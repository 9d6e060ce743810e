"""Executors: run the stages of one level, in this process or as trials of one Ray Tune run."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from bench.errors import UserError
from bench.stages import STAGES
from bench.store.provenance import provenance
from bench.store.stage import Outcome, Resources, StageSpec, compute
from bench.store.store import Store

Report = Callable[[Outcome], None]


class Executor(Protocol):
    """Runs stages whose inputs are complete; `report` hears of each as it ends."""

    def check(self, requests: Mapping[str, Resources]) -> None:
        """Refuse (`UserError`) stages, by name, whose resources can never be had."""

    def run(self, specs: Sequence[StageSpec], report: Report) -> list[Outcome]:
        """Run one level; an outcome for every stage, in no particular order."""

    def close(self) -> None:
        """Let go of what was started."""


class SerialExecutor:
    """One stage after the other in this process: for tests and machines without Ray."""

    def __init__(self, store: Store):
        self.store = store

    def check(self, requests: Mapping[str, Resources]) -> None:
        """Only a missing GPU can be refused: threads are shared."""
        require_device(requests)

    def run(self, specs: Sequence[StageSpec], report: Report) -> list[Outcome]:
        """Run the stages in order, stopping after a fatal one."""
        outcomes = []
        for spec in specs:
            outcomes.append(compute_with_threads(self.store, spec))
            report(outcomes[-1])
            if outcomes[-1].fatal:
                break
        return outcomes

    def close(self) -> None:
        """Nothing was started."""


class RayExecutor:
    """One Ray Tune run per level, one trial per stage key, with the stage's resource request.

    Ray starts when there is something to run, offline and on this machine, or joins the cluster at
    `address`, whose nodes must see the store under the same path.
    """

    def __init__(self, store: Store, *, address: str | None = None):
        self.store, self.address = store, address
        self._started = False

    def check(self, requests: Mapping[str, Resources]) -> None:
        """Compare the requests with the cluster's resources: Ray would wait for ever, silently."""
        if self.address is None:
            require_device(requests)
        available = self._start().cluster_resources()
        for stage, resources in requests.items():
            for name, asked in (("CPU", resources.cpus), ("GPU", resources.gpus)):
                if asked > available.get(name, 0):
                    raise UserError(
                        f"resources.{stage}: asks for {asked:g} {name}, the cluster has "
                        f"{available.get(name, 0):g}; ask for less or join a larger cluster"
                    )

    def run(self, specs: Sequence[StageSpec], report: Report) -> list[Outcome]:
        """Run the level's trials; a trial that dies without an outcome is a failed stage."""
        self._start()
        from ray import tune

        by_name = {spec.name: spec for spec in specs}
        outcomes: dict[str, Outcome] = {}

        class Listener(tune.Callback):
            def on_trial_complete(
                self, iteration: int, trials: list[Any], trial: Any, **info: Any
            ) -> None:
                last = trial.last_result
                if "outcome" in last:
                    outcomes[trial.config["name"]] = Outcome(**last["outcome"])
                    report(outcomes[trial.config["name"]])

        def resources(config: dict[str, Any]) -> tune.PlacementGroupFactory:
            asked = by_name[config["name"]].resources
            return tune.PlacementGroupFactory([{"CPU": asked.cpus, "GPU": asked.gpus}])

        trainable = tune.with_parameters(_trial, root=str(self.store.root), specs=by_name)
        logs = self.store.root / "work" / f"ray-{os.getpid()}"
        tuner = tune.Tuner(
            tune.with_resources(trainable, resources),
            param_space={"name": tune.grid_search(list(by_name))},
            tune_config=tune.TuneConfig(
                reuse_actors=len({spec.resources for spec in specs}) == 1,
                trial_dirname_creator=lambda trial: trial.trial_id,
            ),
            run_config=tune.RunConfig(
                storage_path=str(logs),
                name="level",
                callbacks=[Listener()],
                verbose=0,
            ),
        )
        try:
            results = tuner.fit()
        finally:
            shutil.rmtree(logs, ignore_errors=True)  # Ray's own state: the store has the results.
        errors = {
            result.config["name"]: str(result.error).strip().splitlines()[-1]
            for result in (results[index] for index in range(len(results)))
            if result.config and result.error is not None
        }
        for name, spec in by_name.items():
            if name not in outcomes:
                message = errors.get(name, "the worker ended without a result")
                self.store.record_failure(spec.stage, spec.key, message)
                outcomes[name] = Outcome(name, "failed", error=message)
                report(outcomes[name])
        return list(outcomes.values())

    def close(self) -> None:
        """Shut down a cluster that this executor started, or leave one it joined."""
        if self._started:
            import ray

            ray.shutdown()
            self._started = False

    def _start(self) -> Any:
        os.environ.update(RAY_ENVIRONMENT)
        import ray

        if not self._started:
            with contextlib.redirect_stdout(None):
                options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
                if self.address is None:
                    options |= {
                        "num_cpus": provenance()["cpus"],
                        "include_dashboard": False,
                        "object_store_memory": 200 << 20,
                    }
                    os.environ.setdefault("RAY_AUTH_MODE", "disabled")
                else:
                    options["address"] = self.address
                ray.init(**options)
            self._started = True
        return ray


RAY_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Ctrl-C ends the run; Tune would call it a result.
}


def _trial(config: dict[str, Any], *, root: str, specs: dict[str, StageSpec]) -> None:
    from ray import tune

    outcome = compute_with_threads(Store(Path(root)), specs[config["name"]])
    tune.report({"outcome": outcome.to_json()})


def compute_with_threads(store: Store, spec: StageSpec) -> Outcome:
    """Compute a stage with as many threads as it asked for CPUs."""
    import torch

    torch.set_num_threads(spec.resources.cpus)
    return compute(store, spec, STAGES[spec.stage].compute)


def require_device(requests: Mapping[str, Resources]) -> None:
    """Refuse a GPU on a machine without one.

    Raises:
        UserError: names the stage.
    """
    for stage, resources in requests.items():
        if resources.device == "cuda":
            import torch

            if not torch.cuda.is_available():
                raise UserError(
                    f"{stage}: device cuda is asked for, but this machine has no usable GPU; "
                    "set device: cpu in the suite, or join a cluster with --ray-address"
                )
            return
