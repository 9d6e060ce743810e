"""Cost of a suite: wall time, peak memory, steps and device of each kind of stage."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

from bench.config.cell import CellConfig
from bench.records.parts import Resources, StageCost
from reports.analysis.groups import Record
from reports.tables.declared import TableReport
from reports.tables.table import WORDS, Column, Row, Table, Value, number, words

NAME, TITLE = "compute", "Compute"
FINETUNING, CODESIGN, CODESIGN_POLICY = "finetuning", "codesign", "codesign policy"
STEPS: dict[str, Callable[[CellConfig], int]] = {
    "tokenizer": lambda config: config.training.steps,
    FINETUNING: lambda config: config.finetuning.training.steps,
    CODESIGN: lambda config: config.codesign.training.steps,
    "policy": lambda config: config.policy.steps,
    CODESIGN_POLICY: lambda config: config.codesign_policy.steps,
    "generator": lambda config: config.generation.training.steps,
}


@dataclass(frozen=True)
class _Artifact:
    """One artifact of a stage: which cells share it, its steps, and its entry in their records."""

    name: str
    cells: list[str]
    steps: int | None
    entry: StageCost


def table(records: list[Record]) -> Table:
    """A row per kind of stage, and their total; an artifact that cells share counts once."""
    artifacts = _artifacts(records)
    if not artifacts:
        return Table(NAME, TITLE, notes=("Not made: no stage has finished.",))
    names = list(dict.fromkeys(one.name for one in artifacts))
    rows = [_row(name, [one for one in artifacts if one.name == name]) for name in names]
    rows.append(_row("total", artifacts, total=True))
    columns = (
        Column("stage", "stage", WORDS),
        *(Column("artifacts", "artifacts"), Column("steps", "steps each")),
        *(Column("median_seconds", "median (s)"), Column("seconds", "wall time (s)")),
        *_passes_columns(artifacts),
        *(Column("peak_memory_mib", "peak memory (MiB)"), Column("device", "device", WORDS)),
    )
    notes = [
        "wall time of finished stages, whichever suite computed them first; cells that share an "
        "artifact share its cost; memory: the largest of any process of the stage"
    ]
    lost = [record for record in records if not record.done]
    if lost:
        notes.append(f"not counted: what {len(lost)} cells without a result took")
    return Table(NAME, TITLE, columns, tuple(rows), tuple(notes))


def _passes_columns(artifacts: list[_Artifact]) -> list[Column]:
    """A column of what trainings decoded, where it is known: older ones did not count it."""
    known = any(one.entry.decoder_passes is not None for one in artifacts)
    return [Column("decoder_passes", "images decoded each")] if known else []


def _artifacts(records: list[Record]) -> list[_Artifact]:
    found: dict[tuple[str, str], _Artifact] = {}
    for record in records:
        for entry in record.stages:
            name = stage_name(record, entry)
            steps = STEPS[name](record.config) if name in STEPS else None
            new = _Artifact(name, [], steps, entry)
            found.setdefault((name, entry.key), new).cells.append(record.cell_key)
    return list(found.values())


def stage_name(record: Record, entry: StageCost) -> str:
    """The stage's name; trainings after a tokenizer's first, and their policies, have their own."""
    same = [one.key for one in record.stages if one.stage == entry.stage]
    first, last, config = same[0] == entry.key, same[-1] == entry.key, record.config
    if entry.stage == "tokenizer" and last and config.finetuning is not None:
        return FINETUNING
    if entry.stage == "tokenizer" and not first and config.codesign is not None:
        return CODESIGN
    if entry.stage == "policy" and not (last and config.policy is not None):
        return CODESIGN_POLICY
    return entry.stage


def _row(name: str, artifacts: list[_Artifact], *, total: bool = False) -> Row:
    entries = [one.entry for one in artifacts]
    seconds = [entry.seconds for entry in entries]
    each = {
        "steps": {one.steps for one in artifacts if one.steps is not None},
        "decoder_passes": {n for one in entries if (n := one.decoder_passes) is not None},
    }
    peak = max((entry.peak_memory_bytes or 0) / 2**20 for entry in entries)
    values = {
        "stage": words(name),
        "artifacts": number(len(artifacts), str(len(artifacts))),
        "seconds": number(sum(seconds), f"{sum(seconds):.1f}"),
        "peak_memory_mib": number(peak, f"{peak:.0f}"),
        "device": words("; ".join(dict.fromkeys(_device(one.resources) for one in entries))),
    }
    if not total:
        values["median_seconds"] = number(median(seconds), f"{median(seconds):.1f}")
        for name, counts in each.items():
            if len(counts) == 1:
                values[name] = number(*counts, str(*counts))
            elif counts:
                values[name] = Value(" or ".join(map(str, sorted(counts))))
    cells = tuple(dict.fromkeys(key for one in artifacts for key in one.cells))
    return Row(values, () if total else cells)


def _device(resources: Resources) -> str:
    """`cpu, 1 thread`, `cuda, 4 threads, 0.5 GPU`, `cpu, 4 threads, 2 ranks`."""
    threads = f"{resources.cpus} thread{'s' if resources.cpus != 1 else ''}"
    share = f", {resources.gpus:g} GPU" if resources.gpus else ""
    ranks = f", {resources.ranks} ranks" if resources.ranks > 1 else ""
    return f"{resources.device}, {threads}{share}{ranks}"


REPORT = TableReport(title=TITLE, place=60, build=table)
