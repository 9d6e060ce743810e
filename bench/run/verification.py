"""Whether a record's numbers stand: computed again from its artifacts, and held against it.

Settings say which stages a record is of; their keys must be those that it names. Its last stage,
its diagnostics, and the stages of other packages that it asks for, are computed again from what the
store holds of their inputs; deep, the banks too, from tokenizer and images. Trainings are not.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bench.config.cell import CellConfig
from bench.errors import UserError
from bench.files import content_key, file_sha256
from bench.graph.nodes import Node, upstream
from bench.graph.suite_graph import build_graph
from bench.metrics.extractors import EXTRACTORS
from bench.records.agreement import Difference, differences, leaves
from bench.records.record import Record
from bench.run.extra_results import extra_metrics, with_derived, with_diagnostic
from bench.run.recomputing import Recomputing
from bench.stages import OURS, STAGES
from bench.store.integrity import DamagedError, verified_file
from bench.store.stage import Resources
from bench.store.store import Store
from bench.suite.cells import Cell
from bench.suite.loading import Suite

# Parts of a record by what they are called together.
GROUPS = {
    "allocator": ("allocator",),
    "metrics": ("metrics",),
    "controls": ("controls",),
    "curve": ("curve", "trade_offs"),
    "perturbed": ("perturbed",),
    "codebook": ("codebook", "tokenizer_parameters"),
    "samples": ("generation",),
    "code histograms": ("code_histograms",),
    "protocol": ("protocol", "protocol_hash"),
    "speeds": ("throughput",),
}
# What a stage measures with a clock: another measurement gives another value.
TIMED = {
    "evaluation": ("policy_time_share",),
    "bank": ("encode_images_per_second", "decode_images_per_second", "throughput"),
}
# Distances and scores of features are sums and roots of large matrices, whose last digits depend on
# how many threads share the work. By this share of a value they may be off, and nothing else.
ROUNDING = 1e-6
TABLE = "images.parquet"
ROWS = 2**14
NOT_COMPUTED = (
    "histories, rounds of co-design, costs and provenance (of trainings, which are not run again)"
)


@dataclass(frozen=True)
class Checked:
    """A group of a record's values, how many there are, and those that do not stand.

    `rounded` of those that stand are not exactly the same (see `ROUNDING`).
    """

    name: str
    count: int
    differing: tuple[Difference, ...]
    rounded: int = 0


@dataclass(frozen=True)
class Verification:
    """What was checked of a record, and what was not, in words."""

    record: Record
    checked: tuple[Checked, ...]
    left_out: tuple[str, ...]

    @property
    def stands(self) -> bool:
        """Whether all that was checked came out as the record has it."""
        return not any(one.differing for one in self.checked)


def verify(record: Record, store: Store, *, deep: bool = False) -> Verification:
    """Compute a record's numbers again, in a folder for temporary files; the store stays as it is.

    Raises:
        UserError: they cannot be: the record has none or only speeds, it is of another version, an
            input of its stages is missing or damaged, or a device or package is not here.
    """
    if not record.done:
        raise UserError(f"{record.label}: the cell has no result ({record.error or 'not run'})")
    if record.kind == "throughput":
        raise UserError(
            f"{record.label}: speeds are measured, not computed; measure them again with another "
            "--store"
        )
    _require_this_version(record, store)
    last, extras = _stages_of(record, store)
    stages = _checked_stages(record, store, (last, *extras))
    if stages.differing:
        reason = "all numbers (the settings are not those of the stages)"
        return Verification(record, (stages,), (reason,))
    resources = {f"{one.stage}-{one.key}": _resources(one.resources) for one in record.stages}
    with tempfile.TemporaryDirectory(prefix="adatok-bench-verify-") as folder:
        again = Recomputing(store, Path(folder), record.suite, resources, deep=deep)
        left_out: list[str] = []
        checked = [stages, *_checked(record, again, last, extras, left_out)]
    return Verification(record, tuple(checked), (*left_out, NOT_COMPUTED))


def _resources(recorded: Any) -> Resources:
    return Resources(recorded.cpus, recorded.gpus, recorded.device, recorded.ranks)


def _require_this_version(record: Record, store: Store) -> None:
    for one in record.stages:
        if one.stage not in STAGES:
            raise UserError(f"{record.label}: no stage '{one.stage}' is here; install its package")
        version = _version(store, one.stage, one.key)
        ours = STAGES[one.stage].version
        if version is not None and version != ours:
            raise UserError(
                f"{record.label}: its {one.stage} is of version {version}, and this adatok-bench "
                f"computes version {ours}; run its suite again"
            )


def _version(store: Store, stage: str, key: str) -> int | None:
    """Of which version an artifact is; None where it is gone."""
    try:
        return int(store.description(stage, key)["version"])
    except FileNotFoundError:
        return None


def _stages_of(record: Record, store: Store) -> tuple[Node, tuple[Node, ...]]:
    """The last stage that a record's settings lead to, and those besides."""
    config: CellConfig = record.config
    known = dict.fromkeys([*OURS, *(config.extra or ())], Resources())
    suite = Suite(
        name=record.suite,
        question=record.question,
        path=Path(f"record {record.cell_key}"),
        cells=(Cell(record.arm, config, record.swept),),
        resources=known,
        reports=(),
    )

    def fingerprint(*place: Any) -> str:
        """That of the images that were used; the folder may have changed, or be elsewhere."""
        for one in record.stages:
            if one.stage == "manifest" and store.has("manifest", one.key):
                return str(store.description("manifest", one.key)["config"]["fingerprint"])
        raise UserError(f"{record.label}: the manifest of its images is not in {store.root}")

    graph = build_graph(suite, name_folder=fingerprint, name_source=fingerprint)
    # A record from before a diagnostic was there stands without it.
    named = {*(config.extra or ()), *(one.stage for one in record.stages)}
    return graph.evaluations[0], tuple(one for one in graph.extras[0] if one.stage in named)


def _checked_stages(record: Record, store: Store, ends: tuple[Node, ...]) -> Checked:
    """Whether the record's settings are those of its cell, and lead to the stages it names.

    Raises:
        UserError: they do not, and stages are missing that would tell whether they are of another
            version.
    """
    settings = record.settings
    if record.length_from is not None:
        reference = asdict(record.length_from)
        settings = {**settings, "tokenizer": {**settings["tokenizer"], "budgets": reference}}
    specs = [spec for node in upstream(*ends) if (spec := node.spec(store)) is not None]
    named = {
        "cell_key": record.cell_key,
        "images": record.images,
        "stages": sorted(f"{one.stage}-{one.key}" for one in record.stages),
    }
    spec = ends[0].spec(store)
    assert spec is not None, "no node of a record waits for another's result"
    right = {
        "cell_key": content_key(settings),
        "images": f"{spec.stage}/{spec.key}/{TABLE}",
        "stages": sorted(one.name for one in specs),
    }
    found = tuple(differences(named, right))
    gone = [one for one in record.stages if _version(store, one.stage, one.key) is None]
    if found and gone:
        raise UserError(
            f"{record.label}: its settings lead to other stages here, and {gone[0].stage}-"
            f"{gone[0].key}, which would tell why, is not in {store.root}; give --store"
        )
    return Checked("settings", leaves(named), found)


def _checked(
    record: Record,
    again: Recomputing,
    last: Node,
    extras: tuple[Node, ...],
    left_out: list[str],
) -> Iterator[Checked]:
    recorded, computed = record.plain(), again.result(last)
    derived = with_derived(computed)["metrics"]
    known = {name for name in derived if name in computed["metrics"] or name in record.metrics}
    computed = {**computed, "metrics": {name: derived[name] for name in derived if name in known}}
    timed = [*TIMED.get(last.stage, ()), *(TIMED["bank"] if again.deep else ())]
    own = dict(recorded["metrics"])
    of_extras = []
    for node in extras:
        result = again.result(node)
        if node.stage in OURS:
            computed = with_diagnostic(computed, result)
            continue
        found = extra_metrics([{"stage": node.stage, "result": result}], computed["metrics"])
        theirs = {name: own.pop(name) for name in found if name in own}
        of_extras.append(_group(f"extra {node.stage}", theirs, found))
    recorded["metrics"] = own
    rounded = _of_features(record)
    for name, parts in GROUPS.items():
        sides = [{p: side[p] for p in parts if p in side} for side in (recorded, computed)]
        if again.deep and name == "speeds":
            continue
        if len(parts) == 1 and all(sides):
            sides = [side[parts[0]] for side in sides]
        checked = _group(name, *sides, without=timed, rounded=rounded)
        if checked.count or checked.differing:
            yield checked
    yield from of_extras
    yield from _tables(again, last, left_out)
    for name, node in last.inputs.items():
        if node in again.banks(last):
            yield from _arrays(again, name, node, left_out)
    there = [name for name in timed if name in own or name in recorded]
    if there:
        left_out.append(f"{', '.join(there)} (measured, not computed)")


def _of_features(record: Record) -> set[str]:
    """Names of the metrics that are computed from features."""
    used = [EXTRACTORS[name] for name in (record.protocol.extractors if record.protocol else ())]
    families = (family for one in used for family in (one.reconstructions, one.samples))
    return {metric.name for family in families if family for metric in family.declarations()}


def _group(
    name: str,
    recorded: Any,
    computed: Any,
    *,
    without: Collection[str] = (),
    rounded: Collection[str] = (),
) -> Checked:
    """Compare two sides, exactly but for the names `rounded`; those `without` are left out."""
    found = list(differences(recorded, computed, without=without))
    differing = [one for one in found if not (_name(one) in rounded and _is_rounding(one))]
    count = leaves(recorded, without=without)
    return Checked(name, count, tuple(differing), len(found) - len(differing))


def _name(difference: Difference) -> str:
    return difference.path.rpartition(".")[2]


def _is_rounding(difference: Difference) -> bool:
    sides = difference.ours, difference.theirs
    numbers = all(isinstance(one, float) and math.isfinite(one) for one in sides)
    return numbers and math.isclose(*sides, rel_tol=ROUNDING)


def _tables(again: Recomputing, last: Node, left_out: list[str]) -> Iterator[Checked]:
    """The per-image table of the store, row by row."""
    spec = last.spec(again.store)
    assert spec is not None
    try:
        path = verified_file(again.store.artifact(spec.stage, spec.key) / TABLE)
    except DamagedError as error:
        left_out.append(f"the per-image table ({error.reason})")
        return
    stored, computed = (pd.read_parquet(one) for one in (path, again.place(last) / TABLE))
    sides = ({"rows": _columns(one)} for one in (stored, computed))
    yield _group("images", *sides)


def _columns(table: pd.DataFrame) -> dict[str, list[Any]]:
    """The columns of a table as plain values; what is missing is None."""
    plain = table.astype(object).where(table.notna(), None)
    return {str(name): plain[name].tolist() for name in plain}


def _arrays(again: Recomputing, name: str, bank: Node, left_out: list[str]) -> Iterator[Checked]:
    """The arrays of a bank in the store, by their hashes; ids may be of another type."""
    spec = bank.spec(again.store)
    assert spec is not None
    if _version(again.store, spec.stage, spec.key) is None:
        left_out.append(f"the arrays of {name} (not in the store)")
        return
    files = again.store.description(spec.stage, spec.key).get("files", {})
    stored = {one: files[one]["sha256"] for one in sorted(files) if one.endswith(".npy")}
    place = again.place(bank)
    computed = {path.name: file_sha256(path) for path in sorted(place.glob("*.npy"))}
    ids = "ids.npy"
    if ids in stored and ids in computed and stored[ids] != computed[ids]:
        # Earlier versions kept ids in more bits.
        sides = verified_file(again.store.artifact(spec.stage, spec.key) / ids), place / ids
        if _same_values(*sides):
            computed[ids] = stored[ids]
    yield _group(f"{name} {spec.name}", stored, computed)


def _same_values(one: Path, other: Path) -> bool:
    """Whether arrays of whole numbers in two files are equal, whatever their types."""
    a, b = (np.load(path, mmap_mode="r", allow_pickle=False) for path in (one, other))
    starts = range(0, len(a), ROWS)
    return a.shape == b.shape and all(
        np.array_equal(a[at : at + ROWS], b[at : at + ROWS]) for at in starts
    )
