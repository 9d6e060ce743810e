"""The Ray executor: stages as trials of one Tune run, on this machine or on a cluster."""

from __future__ import annotations

from collections.abc import Mapping

from bench.errors import UserError
from bench.run.agenda import Agenda
from bench.run.cluster.notes import Notes
from bench.run.cluster.session import RaySession
from bench.run.executors import require_device
from bench.run.own_folder import own_folder
from bench.store.stage import Resources
from bench.store.stopping import Stopping, stopped_by_signals
from bench.store.store import Store

# Tune asks for no more while so many wait: the agenda gives out no more than there is room for.
MOST_TRIALS = 10_000


class RayExecutor:
    """One Ray Tune run for all stages, one trial per stage, with the stage's resource request.

    Ray starts when there is something to run, offline and on this machine, or joins the cluster at
    `address`, whose nodes must see the store under the same path.
    """

    def __init__(self, store: Store, *, address: str | None = None):
        self.store, self.session = store, RaySession(address)

    @property
    def room(self) -> tuple[float, float]:
        """CPUs and GPUs of all nodes."""
        return self.session.room

    def check(self, requests: Mapping[str, Resources]) -> None:
        """Compare the requests with what one node has: Ray would wait for ever, silently.

        Nodes of a cluster are looked at first: one that lacks the store, or has other packages, is
        refused by name.
        """
        if self.session.address is None:
            require_device(requests)
        self.session.start()
        if self.session.address is not None:
            from bench.run.cluster.nodes import require_alike

            require_alike(self.store.root)
        largest = self.session.largest
        there = {"CPU": largest["CPU"], "GPU": largest["GPU"], "GB": largest["memory"] / 1e9}
        for stage, resources in requests.items():
            wanted = {"CPU": resources.cpus, "GPU": resources.gpus, "GB": resources.memory_gb}
            for name, asked in wanted.items():
                if asked > there[name]:
                    raise UserError(
                        f"resources.{stage}: asks for {asked:g} {name}, the cluster has "
                        f"{there[name]:.4g}{self.session.on_one_node}; ask for less or join "
                        "a larger cluster"
                    )

    def run(self, agenda: Agenda) -> None:
        """Run what the agenda has; a stage whose worker dies is tried again (`Agenda.lost`).

        Raises:
            UserError: Ray itself has died.
        """
        self.session.start()
        from ray import tune

        from bench.run.cluster.memory import deaths_of_one_trial
        from bench.run.cluster.trial import StageTrial
        from bench.run.cluster.tune_run import Flow, Listener, OverError, Search, asked_of_ray

        def unfinished() -> str:
            names = [*agenda.running]
            return ", ".join(names[:3]) + (f" and {len(names) - 3} more" * (len(names) > 3))

        # Ray's own state: all nodes see the store, which has the results.
        with own_folder(self.store.root / "work", "ray-") as logs:
            flow = Flow(agenda, self.session, notes := Notes(logs.name), stopping := Stopping())
            trial = tune.with_parameters(StageTrial, root=str(self.store.root), run=notes.run)
            tuner = tune.Tuner(
                tune.with_resources(trial, asked_of_ray),
                tune_config=tune.TuneConfig(
                    search_alg=Search(flow),
                    num_samples=-1,
                    max_concurrent_trials=MOST_TRIALS,
                    reuse_actors=True,
                    trial_dirname_creator=lambda trial: trial.trial_id,
                ),
                run_config=tune.RunConfig(
                    storage_path=str(logs),
                    name="suite",
                    callbacks=[Listener(flow)],
                    checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
                    verbose=0,
                ),
            )
            try:
                with (
                    self.session.watched(unfinished),
                    stopped_by_signals(stopping),
                    deaths_of_one_trial(),
                ):
                    tuner.fit()
            except OverError:
                pass
            finally:
                agenda.stopped |= stopping.asked
                if not self.session.dead:
                    notes.remove_all()

    def close(self) -> None:
        """Shut down a cluster that this executor started, or leave one it joined."""
        self.session.close()
