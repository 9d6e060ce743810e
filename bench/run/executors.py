"""Executors: run the stages of one level, in this process or as trials of one Ray Tune run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from bench.errors import UserError
from bench.run.own_folder import own_folder
from bench.run.ray_session import RaySession
from bench.stages import STAGES
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
        self.store, self.session = store, RaySession(address)

    def check(self, requests: Mapping[str, Resources]) -> None:
        """Compare the requests with the cluster's resources: Ray would wait for ever, silently."""
        if self.session.address is None:
            require_device(requests)
        self.session.start()
        available = self.session.resources
        for stage, resources in requests.items():
            for name, asked in (("CPU", resources.cpus), ("GPU", resources.gpus)):
                if asked > available.get(name, 0):
                    raise UserError(
                        f"resources.{stage}: asks for {asked:g} {name}, the cluster has "
                        f"{available.get(name, 0):g}; ask for less or join a larger cluster"
                    )

    def run(self, specs: Sequence[StageSpec], report: Report) -> list[Outcome]:
        """Run the level's trials; a trial that dies without an outcome is a failed stage.

        Raises:
            UserError: Ray itself has died.
        """
        self.session.start()
        from ray import tune

        session = self.session
        by_name = {spec.name: spec for spec in specs}
        outcomes: dict[str, Outcome] = {}

        def unfinished() -> str:
            names = [name for name in by_name if name not in outcomes]
            return ", ".join(names[:3]) + (f" and {len(names) - 3} more" * (len(names) > 3))

        class Listener(tune.Callback):
            def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:
                session.require_alive()

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
        # Ray's own state: all nodes see the store, which has the results.
        with own_folder(self.store.root / "work", "ray-") as logs:
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
            with session.watched(unfinished):
                results = tuner.fit()
        errors = {
            result.config["name"]: str(result.error)
            for result in (results[index] for index in range(len(results)))
            if result.config and result.error is not None
        }
        for name, spec in by_name.items():
            if name not in outcomes:
                message = _without_outcome(spec, errors.get(name, "died"))
                self.store.record_failure(spec.stage, spec.key, message)
                outcomes[name] = Outcome(name, "failed", error=message)
                report(outcomes[name])
        return list(outcomes.values())

    def close(self) -> None:
        """Shut down a cluster that this executor started, or leave one it joined."""
        self.session.close()


def _without_outcome(spec: StageSpec, error: str) -> str:
    """The one line for a stage of which Ray heard `error` and nothing else."""
    if "died" not in error and "OutOfMemory" not in error:
        return error.strip().splitlines()[-1]
    short = "low on memory" in error
    return (
        f"its worker process has died ({'' if short else 'killed, perhaps '}for lack of memory); "
        f"the same command goes on from its checkpoint; a higher resources.{spec.stage}.cpus, or "
        "--executor serial, lets fewer run at a time"
    )


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
