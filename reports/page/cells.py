"""Cells as a page shows them: where their numbers come from, and their pictures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.artifacts.gallery import gallery_of
from bench.errors import UserError
from bench.metrics.declared import LISTED, METRICS
from bench.records.parts import StageCost
from bench.records.tables import format_value
from bench.store.integrity import DamagedError
from bench.suite.labels import describe
from reports.analysis.groups import Record
from reports.analysis.suites import Part
from reports.page.pictures import MOST_BYTES, sheets
from reports.tables.cells import seeds
from reports.tables.compute import stage_name

LEFT_OUT = "left out to keep this page small enough for an e-mail"


def cell_id(part: Part, key: str) -> str:
    """A cell's name on the page."""
    return f"{part.name}/{key}"


def page_cells(parts: Sequence[Part], store: Path) -> dict[str, dict[str, Any]]:
    """Everything that a page shows of its cells, JSON-able, by `cell_id`."""
    found = {cell_id(part, r.cell_key): _about(part, r) for part in parts for r in part.records}
    left = MOST_BYTES
    for part, record in _first_seeds_first(parts):
        if record.gallery is None:
            continue
        about = found[cell_id(part, record.cell_key)]
        if left <= 0:
            about["pictures_note"] = f"{LEFT_OUT}: {record.gallery} in the store"
            continue
        try:
            about["pictures"] = [asdict(one) for one in sheets(gallery_of(record, store))]
        except DamagedError:
            raise
        except UserError:  # Records travel without their store; all else is in them.
            about["pictures_note"] = f"the images are not in this store: {record.gallery}"
        left -= sum(len(picture["uri"]) for picture in about["pictures"])
    return found


def _about(part: Part, record: Record) -> dict[str, Any]:
    made = record.provenance
    return {
        "label": record.label,
        "key": record.cell_key,
        "suite": part.suite,
        "status": record.status,
        "error": record.error or ("" if record.done else "not run"),
        "record": f"records/{part.suite}/{record.cell_key}.json",
        "seeds": _pairs(seeds(record)),
        "settings": _pairs(_settings(record)),
        "commit": made.git_commit or "not known",
        "dirty": made.git_dirty,
        "protocol": record.protocol_hash or "none",
        "python": made.python,
        "platform": made.platform,
        "packages": _pairs(made.packages),
        "stages": [_stage(record, stage) for stage in record.stages],
        "metrics": _metrics(record),
        "pictures": [],
        "pictures_note": "" if record.gallery else "no images are stored with this cell",
    }


def _settings(record: Record) -> dict[str, Any]:
    """Values that the cell sweeps, without seeds; and its budgets or candidates."""

    def given(value: Any) -> Any:
        """A mapping without what it leaves open."""
        is_mapping = isinstance(value, dict)
        return {k: v for k, v in value.items() if v is not None} if is_mapping else value

    swept = {k: v for k, v in record.swept.items() if not k.endswith("seed")}
    paths = ("tokenizer.budgets", "policy.candidates", "policy.weighting", "allocator")
    known = {path: value for path in paths if (value := record.setting(path)) is not None}
    return {path: describe(given(value)) for path, value in (known | swept).items()}


def _stage(record: Record, entry: StageCost) -> list[str]:
    peak = entry.peak_memory_bytes
    memory = f", {peak / 2**20:.0f} MiB" if peak else ""
    return [stage_name(record, entry), entry.key, f"{entry.seconds:.1f} s{memory}"]


def _metrics(record: Record) -> list[list[str]]:
    found = []
    for name in (name for name in LISTED if METRICS[name].judged and name in record.metrics):
        unit, value = METRICS[name].unit, format_value(record.metrics.value(name))
        shown = f"{value} {unit}" if unit and unit != "share" else value
        found.append([METRICS[name].title, shown])
    return found


def _pairs(values: dict[str, Any]) -> list[list[str]]:
    return [[name, str(value)] for name, value in values.items()]


def _first_seeds_first(parts: Sequence[Part]) -> Iterable[tuple[Part, Record]]:
    """Cells with the first of each group ahead, so that what is left out are repetitions."""
    firsts, others = [], []
    for part in parts:
        seen: set[str] = set()
        for record in part.records:
            (others if record.group in seen else firsts).append((part, record))
            seen.add(record.group)
    return [*firsts, *others]
