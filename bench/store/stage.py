"""One stage: its specification, and how it is computed into the store, once."""

from __future__ import annotations

import functools
import json
import resource
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import Timeout

from bench.errors import UserError
from bench.files import content_key, write_json
from bench.store.curve import FILE as CURVE
from bench.store.curve import CurveWriter
from bench.store.integrity import DamagedError, verified
from bench.store.machine import sampled
from bench.store.progress import Teller
from bench.store.provenance import provenance
from bench.store.stopping import StageStopped, StoppedEarly, Stopping
from bench.store.store import DISK_ERRORS, Store, disk_error


@dataclass(frozen=True)
class Resources:
    """Resources of one stage: CPU threads, a share of a GPU, and where it computes.

    On several `ranks` it is as many processes, which share the threads and have a GPU each. With
    `memory_gb` (10^9 bytes; 0 where nothing is said) they together take no more.
    """

    cpus: int = 1
    gpus: float = 0.0
    device: str = "cpu"
    ranks: int = 1
    memory_gb: float = 0.0

    @property
    def memory_bytes(self) -> int:
        """What `memory_gb` comes to."""
        return round(self.memory_gb * 1e9)

    def to_json(self) -> dict[str, Any]:
        """Plain values; what came later is left out where nothing was asked for."""
        later = {"ranks": 1, "memory_gb": 0.0}
        return {k: v for k, v in asdict(self).items() if k not in later or v != later[k]}


@dataclass(frozen=True)
class StageSpec:
    """A stage whose inputs are known: the unit that executors run.

    `config` and `inputs` (name -> `[stage, key]`) make the key; `runtime` holds what may differ
    between machines without changing the result, such as paths.
    """

    stage: str
    version: int
    config: dict[str, Any]
    inputs: dict[str, tuple[str, str]]
    runtime: dict[str, Any]
    resources: Resources

    @functools.cached_property
    def key(self) -> str:
        """Hash of the stage's name, version, resolved config and inputs' keys."""
        identity = [self.stage, self.version, self.config, self.inputs]
        return content_key(identity)

    @property
    def name(self) -> str:
        """`stage-key`, for locks, logs and trials."""
        return f"{self.stage}-{self.key}"

    def to_json(self) -> dict[str, Any]:
        """Plain values, for crossing processes."""
        return asdict(self)

    @staticmethod
    def from_json(plain: dict[str, Any]) -> StageSpec:
        """The spec of `to_json`, through JSON or not."""
        inputs = {name: (stage, key) for name, (stage, key) in plain["inputs"].items()}
        resources = Resources(**plain["resources"])
        return StageSpec(**{**plain, "inputs": inputs, "resources": resources})


@dataclass(frozen=True)
class StageContext:
    """All that a stage's function may use. It writes its artifact into `work`.

    In a `dry` run nothing is kept: speeds are measured once, and a policy learns on a tokenizer
    that has hardly trained.
    """

    spec: StageSpec
    inputs: dict[str, Path]
    work: Path
    stopping: Stopping = field(default_factory=Stopping)
    dry: bool = False

    @functools.cached_property
    def _teller(self) -> Teller:
        return Teller(self.work)

    def progress(self, done: int, total: int, note: str = "") -> None:
        """Tell whoever watches how far the stage is; calls may be frequent.

        The note says of what: `images`, `steps, loss 0.01`.
        """
        self._teller.tell(done, total, note)

    @functools.cached_property
    def _curve(self) -> CurveWriter:
        return CurveWriter(self.work)

    def curve(self, history: Sequence[Mapping[str, float]]) -> None:
        """Show whoever watches the history of a training so far: all rows, each with its `step`."""
        self._curve.write(history)


@dataclass(frozen=True)
class Outcome:
    """The end of a stage: `computed`, `cached` or `failed`; `fatal` stops the whole run.

    `damaged`: nothing was computed, as an input was found damaged and set aside. A training may be
    `stopped early`, for what the arm's others have come to; `error` says so. Two ends are none:
    `elsewhere`, another process is computing the stage; `stopped`, it was asked to, and has left a
    checkpoint.
    """

    name: str
    status: str
    seconds: float = 0.0
    error: str = ""
    fatal: bool = False
    damaged: bool = False

    def to_json(self) -> dict[str, Any]:
        """Plain values, for crossing processes."""
        return asdict(self)


StageFunction = Callable[[StageContext], dict[str, Any]]


# Longer than another driver looks at a lock: see `Store.is_locked`.
LOCK_SECONDS = 1.0


def compute(
    store: Store,
    spec: StageSpec,
    function: StageFunction,
    *,
    stopping: Stopping | None = None,
) -> Outcome:
    """Compute a stage unless its artifact exists, or another process is computing it.

    Bad input (`UserError`) and a disk that cannot be written are fatal; any other error fails the
    stage and is remembered in the store.
    """
    started = time.perf_counter()

    def outcome(status: str, error: str = "", **how: bool) -> Outcome:
        return Outcome(spec.name, status, time.perf_counter() - started, error, **how)

    try:
        with store.locked(spec.name, seconds=LOCK_SECONDS):
            if store.has(spec.stage, spec.key):
                return outcome("cached")
            try:
                _compute(store, spec, function, stopping or Stopping())
            except StageStopped:
                return outcome("stopped")
            except StoppedEarly as error:
                return outcome("stopped early", str(error))
            except Exception as error:
                full = isinstance(error, OSError) and error.errno in DISK_ERRORS
                if full or isinstance(error, UserError):
                    raise
                message = f"{type(error).__name__}: {error}".splitlines()[0]
                store.record_failure(spec.stage, spec.key, message)
                return outcome("failed", message)
        return outcome("computed")
    except Timeout:
        return outcome("elsewhere")
    except DamagedError as error:
        place = store.set_aside(error.stage, error.key)
        return outcome("failed", set_aside_text(error, place), damaged=True)
    except UserError as error:
        return outcome("failed", str(error), fatal=True)
    except OSError as error:
        return outcome("failed", str(disk_error(store.root, error)), fatal=True)


def set_aside_text(error: DamagedError, place: Path | None) -> str:
    """The line on an artifact that was damaged, and now lies at `place`."""
    return f"{error.stage}-{error.key}: {error.reason}; set aside in {place}, computed again"


def _compute(store: Store, spec: StageSpec, function: StageFunction, stopping: Stopping) -> None:
    work = store.work(spec.stage, spec.key)
    work.mkdir(parents=True, exist_ok=True)
    attempts = _begin_attempt(work)
    inputs = {name: verified(store.artifact(*of)) for name, of in spec.inputs.items()}
    began = time.perf_counter()
    with sampled() as samples:
        result = function(StageContext(spec, inputs, work, stopping))
    for shown in ("progress.json", CURVE):
        (work / shown).unlink(missing_ok=True)
    (work / "attempts.json").unlink()
    store.publish(
        spec.stage,
        spec.key,
        {
            "version": spec.version,
            "config": spec.config,
            "inputs": {name: list(of) for name, of in spec.inputs.items()},
            "runtime": spec.runtime,
            "resources": spec.resources.to_json(),
            "result": result,
            "attempts": attempts,
            "seconds": time.perf_counter() - began,
            "peak_memory_bytes": peak_memory_bytes(),
            "system": samples,
            "provenance": provenance(),
        },
    )


def _begin_attempt(work: Path) -> list[str]:
    """Note this attempt's start beside the earlier, interrupted ones: all starting times."""
    path = work / "attempts.json"
    try:
        attempts = list(json.loads(path.read_bytes()))
    except (OSError, ValueError, TypeError):  # The first one, or a note that is torn.
        attempts = []
    attempts.append(datetime.now(UTC).isoformat(timespec="seconds"))
    write_json(path, attempts)
    return attempts


def peak_memory_bytes() -> int:
    """Largest resident set of this process so far."""
    with suppress(OSError):  # What `getrusage` tells on Linux may be its parent's.
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
        for line in status.splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
