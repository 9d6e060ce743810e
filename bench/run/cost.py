"""The cost of a stage, estimated from what stages like it have cost before.

Like is compared with like: same stage, same device, CPUs and GPUs, and the same choices that decide
what is computed (`work` of a `Stage`). Of those, the ones with the same amount of work count if
there are any; else all of them, each scaled by its amount of work. The estimate is their median.
"""

from __future__ import annotations

import math
import statistics
from dataclasses import asdict, dataclass

from bench.files import canonical_json
from bench.graph.nodes import Node
from bench.stages import STAGES
from bench.stages.work import Job, Work
from bench.store.store import Store

SAME_WORK = 1.01


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


class Costs:
    """Estimates from the artifacts of a store; each is read once."""

    def __init__(self, store: Store):
        self.store = store
        self._jobs: dict[tuple[str, str], Job] = {}
        self._known: dict[str, list[tuple[Job, float]]] = {}

    def estimate(self, node: Node) -> Estimate | None:
        """The cost of computing `node`; None where nothing comparable was ever computed."""
        job = self._planned(node)
        kind, work, by = _measure(job)
        if work is None:
            return None
        like = []
        for other, seconds in self._computed(job.stage):
            other_kind, other_work, _ = _measure(other)
            if other_kind == kind and other_work:
                like.append((work / other_work, seconds))
        same = [pair for pair in like if 1 / SAME_WORK <= pair[0] <= SAME_WORK]
        if not like:
            return None
        used = same or like
        seconds = statistics.median(factor * seconds for factor, seconds in used)
        factor = 1.0 if same else statistics.median(factor for factor, _ in used)
        return Estimate(seconds, len(used), factor, by)

    def _planned(self, node: Node) -> Job:
        spec = node.computed(self.store)
        if spec is not None:
            return self._job(spec.stage, spec.key)
        inputs = {name: self._planned(one) for name, one in node.inputs.items()}
        count, limit = node.config.get("count"), node.config.get("limit")
        if count is not None and limit is not None:
            count = min(count, limit)
        return Job(node.stage, node.config, inputs, asdict(node.resources), count)

    def _computed(self, stage: str) -> list[tuple[Job, float]]:
        """The artifacts of a stage and the seconds they took, without those that took several
        attempts, of which only the last was timed."""
        if stage not in self._known:
            self._known[stage] = []
            for path in sorted((self.store.root / stage).glob("*/stage.json")):
                key = path.parent.name
                if not self.store.has(stage, key):
                    continue  # Damaged: the next run that needs it computes it again.
                described = self.store.description(stage, key)
                if len(described.get("attempts", [])) <= 1:
                    self._known[stage].append((self._job(stage, key), described["seconds"]))
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


def makespan(jobs: list[tuple[float, int, float]], *, cpus: int, gpus: float) -> float:
    """Seconds until all are done that start in order as soon as there is room for them.

    Args:
        jobs: seconds, CPUs and GPUs of each; one that asks for more than there is runs alone.
        cpus: how many there are.
        gpus: how many there are.
    """
    now = 0.0
    running: list[tuple[float, tuple[float, float]]] = []
    for seconds, wants_cpus, wants_gpus in jobs:
        wanted = min(wants_cpus, cpus), min(wants_gpus, gpus)
        while not _fits(wanted, [use for _, use in running], (cpus, gpus)):
            now = min(end for end, _ in running)
            running = [(end, use) for end, use in running if end > now]
        running.append((now + seconds, wanted))
    return max((end for end, _ in running), default=now)


def _fits(
    wanted: tuple[float, float], uses: list[tuple[float, float]], there_is: tuple[float, float]
) -> bool:
    return all(
        wanted[i] + math.fsum(use[i] for use in uses) <= there_is[i] + 1e-9
        for i in range(len(there_is))
    )
