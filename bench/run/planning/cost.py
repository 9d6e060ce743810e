"""The cost of a stage, estimated from what stages like it have cost before.

Like is compared with like: same stage, same device, CPUs and GPUs, and the same choices that decide
what is computed (`work` of a `Stage`). Of those, the ones with the same amount of work count if
there are any; else all of them, each scaled by its amount of work. The estimate is their median.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

from bench.files import canonical_json
from bench.graph.nodes import Node
from bench.stages import STAGES
from bench.stages.work import Job, Work
from bench.store.store import Store

SAME_WORK = 1.01
# Where nothing is known at all: it only orders what has not been measured yet.
UNKNOWN_SECONDS = 60.0


@dataclass(frozen=True)
class Estimate:
    """Seconds that a stage is expected to take, and how that is known.

    It is the median over `count` stages of the store, scaled by the median `factor` of work (`by`
    says what of); a factor of 1 where they did the same amount.
    """

    seconds: float
    count: int
    factor: float
    by: str


@dataclass(frozen=True)
class Expected:
    """Seconds by node; those of `guessed` are good for an order only."""

    seconds: dict[Node, float]
    guessed: set[Node]


class Costs:
    """Estimates from the artifacts of a store; each is read once, and each node estimated once."""

    def __init__(self, store: Store):
        self.store = store
        self._jobs: dict[tuple[str, str], Job] = {}
        self._plans: dict[Node, Job] = {}
        self._known: dict[str, dict[str, list[tuple[float, float]]]] = {}

    def estimate(self, node: Node) -> Estimate | None:
        """The cost of computing `node`; None where nothing comparable was ever computed."""
        job = self.planned(node)
        kind, work, by = _measure(job)
        if work is None:
            return None
        known = self._computed(job.stage).get(kind, [])
        like = [(work / other, seconds) for other, seconds in known]
        same = [pair for pair in like if 1 / SAME_WORK <= pair[0] <= SAME_WORK]
        if not like:
            return None
        used = same or like
        seconds = statistics.median(factor * seconds for factor, seconds in used)
        factor = 1.0 if same else statistics.median(factor for factor, _ in used)
        return Estimate(seconds, len(used), factor, by)

    def expected(self, nodes: Sequence[Node]) -> Expected:
        """Seconds of every node, by estimates; else by its work beside that of its like.

        The mean of a stage's unmeasured nodes takes what other kinds of the stage have taken in
        this store, or a minute.
        """
        seconds, unknown = {}, dict[str, list[tuple[Node, float]]]()
        for node in nodes:
            estimate = self.estimate(node)
            if estimate is not None:
                seconds[node] = estimate.seconds
                continue
            work = _measure(self.planned(node)).amount
            unknown.setdefault(node.stage, []).append((node, work or 0.0))
        guessed = set[Node]()
        for stage, members in unknown.items():
            taken = [one for of in self._computed(stage).values() for _, one in of]
            typical = statistics.median(taken) if taken else UNKNOWN_SECONDS
            works = [work for _, work in members if work]
            mean = statistics.fmean(works) if works else 1.0
            for node, work in members:
                seconds[node] = typical * (work or mean) / mean
                guessed.add(node)
        return Expected(seconds, guessed)

    def learn(self, node: Node) -> str:
        """Measure one more stage, which has just been computed; gives its kind."""
        spec = node.computed(self.store)
        assert spec is not None
        described = self.store.description(spec.stage, spec.key)
        kind, work, _ = _measure(self._job(spec.stage, spec.key))
        if work and len(described.get("attempts", [])) <= 1:
            self._computed(spec.stage).setdefault(kind, []).append((work, described["seconds"]))
        self._plans.clear()  # How many images there are may be known now.
        return f"{spec.stage} {kind}"

    def planned(self, node: Node) -> Job:
        """What decides the cost of a node, computed or not."""
        if node not in self._plans:
            self._plans[node] = self._plan(node)
        return self._plans[node]

    def _plan(self, node: Node) -> Job:
        spec = node.computed(self.store)
        if spec is not None:
            return replace(self._job(spec.stage, spec.key), runtime=spec.runtime)
        inputs = {name: self.planned(one) for name, one in node.inputs.items()}
        count, limit = node.config.get("count"), node.config.get("limit")
        if count is not None and limit is not None:
            count = min(count, limit)
        return Job(node.stage, node.config, inputs, asdict(node.resources), count, node.runtime)

    def _computed(self, stage: str) -> dict[str, list[tuple[float, float]]]:
        """By kind the work of a stage's artifacts and the seconds it took, without those that took
        several attempts, of which only the last was timed."""
        if stage not in self._known:
            self._known[stage] = {}
            for path in sorted((self.store.root / stage).glob("*/stage.json")):
                key = path.parent.name
                if not self.store.has(stage, key):
                    continue  # Damaged: the next run that needs it computes it again.
                described = self.store.description(stage, key)
                if len(described.get("attempts", [])) > 1:
                    continue
                kind, work, _ = _measure(self._job(stage, key))
                if work:
                    found = self._known[stage].setdefault(kind, [])
                    found.append((work, described["seconds"]))
        return self._known[stage]

    def _job(self, stage: str, key: str) -> Job:
        if (stage, key) not in self._jobs:
            if not self.store.has(stage, key):
                return Job(stage, {}, {}, {})  # Cleared away since.
            described = self.store.description(stage, key)
            self._jobs[stage, key] = Job(
                stage,
                described["config"],
                {name: self._job(*of) for name, of in described["inputs"].items()},
                described["resources"],
                described["result"].get("count"),
            )
        return self._jobs[stage, key]


def _measure(job: Job) -> Work:
    """The work of a job; its kind is text, and says on which resources as well."""
    try:
        kind, amount, by = STAGES[job.stage].measure(job)
    except (KeyError, TypeError):  # An input was cleared away, or is of an older version.
        return Work("", None, "")
    resources = [
        *(job.resources[n] for n in ("device", "cpus", "gpus")),
        job.resources.get("ranks", 1),
    ]
    return Work(canonical_json([resources, kind]), amount, by)
