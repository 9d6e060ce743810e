"""A suite: a YAML file whose arms expand to cells, each a fully resolved configuration."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

from adatok_core.config.checks import Strict, require_shares
from bench.config.loader import Loader
from bench.config.settings import parse
from bench.config.yaml_text import MOST_NESTED, read_yaml
from bench.errors import UserError, suggestion
from bench.records.settings_paths import own_settings, settings_apart
from bench.stages import OURS, STAGES
from bench.store.stage import Resources
from bench.suite.cells import Cell
from bench.suite.expansion import ALL, Arm, Taken, assign, expand
from bench.suite.searching import ArmSearch, refuse_searched_sources, search_of

MOST_CELLS = 5000
# Names become those of files (255 bytes, of which the store adds some) and tags in MLflow (8000).
LONGEST_SUITE_BYTES, LONGEST_QUESTION = 150, 5000


@dataclass(frozen=True, kw_only=True)
class StageResources(Strict):
    """CPU threads and share of a GPU of one stage; on device cuda the share is 1 unless given.

    A training may have several `ranks`, processes that share each batch: one for each of several
    GPUs, or as many as asked for on the CPU, which share the threads. `memory_gb` (10^9 bytes) is
    kept free for its worker under Ray, which is ended where it takes more.
    """

    cpus: int = 1
    gpus: float | None = None
    ranks: int | None = None
    memory_gb: float | None = None

    def __post_init__(self) -> None:
        if self.cpus < 1:
            raise ValueError("cpus: must be 1 or more")
        if self.gpus is not None and self.gpus <= 0:
            raise ValueError("gpus: must be positive")
        if self.gpus is not None and self.gpus > 1 and self.gpus % 1:
            raise ValueError(f"gpus: {self.gpus:g} must be whole above 1")
        if self.ranks is not None and self.ranks < 1:
            raise ValueError("ranks: must be 1 or more")
        if self.memory_gb is not None and self.memory_gb <= 0:
            raise ValueError("memory_gb: must be positive")


@dataclass(frozen=True, kw_only=True)
class SuiteFile(Strict):
    """The keys of a suite's YAML. Reports compare the other arms with `reference_arm`.

    `retries`: how often a stage is tried again whose worker or node has died.
    """

    suite: str
    question: str
    base: dict[str, Any]
    arms: list[Arm]
    device: Literal["cpu", "cuda"] = "cpu"
    resources: dict[str, StageResources] = field(default_factory=dict)
    loader: Loader = field(default_factory=Loader)
    reports: list[str] = field(default_factory=list)
    reference_arm: str | None = None
    retries: int = 2

    def __post_init__(self) -> None:
        if self.retries < 0:
            raise ValueError("retries: must be 0 or more")
        if len(self.suite.encode()) > LONGEST_SUITE_BYTES:
            raise ValueError(
                f"suite: longer than {LONGEST_SUITE_BYTES} bytes, and it names a folder; shorten it"
            )
        if len(self.question) > LONGEST_QUESTION:
            raise ValueError(f"question: longer than {LONGEST_QUESTION} letters; shorten it")
        if not self.suite.replace("_", "").replace("-", "").isalnum():
            raise ValueError("suite: use letters, digits, '-' and '_', since it names a folder")
        if not self.arms:
            raise ValueError("arms: a suite needs at least one")
        for stage in self.resources:
            if stage not in STAGES:
                near = suggestion(stage, list(STAGES))
                raise ValueError(f"resources.{stage}: unknown stage{near}")
        names = [arm.name for arm in self.arms]
        if self.reference_arm is not None and self.reference_arm not in names:
            raise ValueError(
                f"reference_arm: '{self.reference_arm}' is no arm of this suite"
                f"{suggestion(self.reference_arm, names)}"
            )


@dataclass(frozen=True)
class Suite:
    """A suite's cells and how they are to be run.

    Those of a search may be more once these have results: `searches` has what that takes.
    """

    name: str
    question: str
    path: Path
    cells: tuple[Cell, ...]
    resources: dict[str, Resources]
    reports: tuple[str, ...]
    reference_arm: str | None = None
    loader: Loader = field(default_factory=Loader)
    retries: int = SuiteFile.retries
    searches: tuple[ArmSearch, ...] = ()


def read_suite_file(path: Path) -> SuiteFile:
    """The keys of a suite's file, those that it extends included; cells are not looked at.

    Raises:
        UserError: the first thing that is wrong, naming the file and the key.
    """
    return parse(SuiteFile, _extended(path), where=str(path))


def load_suite(path: str | Path, taken: Taken = ALL, *, store: Path | None = None) -> Suite:
    """Read, check and expand a suite, of all its images or a part of them.

    Of a search it has the cells that the store knows, and those that are known without results.

    Raises:
        UserError: the first thing that is wrong, naming the file and the key.
    """
    path = Path(os.path.expanduser(path))
    return make_suite(read_suite_file(path), path, taken, store=store)


def make_suite(
    file: SuiteFile, path: Path, taken: Taken = ALL, *, store: Path | None = None
) -> Suite:
    """Check and expand the keys of a suite's file; `path` is where they come from.

    Raises:
        UserError: the first thing that is wrong, naming the path and the key.
    """
    names = [arm.name for arm in file.arms]
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"{path}: arms: '{name}' is given twice; rename one")
    count = sum(arm.cells for arm in file.arms)
    if count > MOST_CELLS:
        raise UserError(f"{path}: arms: come to {count} cells, more than {MOST_CELLS}; sweep less")
    cells: list[Cell] = []
    searches: list[ArmSearch] = []
    name = file.suite + taken.suffix
    for arm in file.arms:
        where = f"{path}: arm '{arm.name}'"
        of_arm = partial(expand, arm, file.base, [*cells], names, taken, where=where, suite=name)
        if arm.search is None:
            cells += of_arm()
            continue
        about = [name, file.base]
        searches.append(search_of(arm, arm.search, about, of_arm, store, where=where))
        for number in range(len(searches[-1].drawn)):
            cells += searches[-1].cells_of(number)
    refuse_searched_sources(cells, searches, path)
    if not taken.twins:
        _refuse_twins(path, cells)
    _refuse_namesakes(path, cells)
    extras = [stage for cell in cells for stage in cell.config.extra or ()]
    resources = {
        stage: _resources(stage, file, where=str(path))
        for stage in dict.fromkeys([*OURS, *extras, *file.resources])
    }
    for cell in cells:
        _refuse_unshared(path, cell, resources)
    return Suite(
        name=name,
        question=" ".join(file.question.split()),
        path=path,
        cells=tuple(cells),
        resources=resources,
        reports=tuple(file.reports),
        reference_arm=file.reference_arm,
        loader=_loader(file, cells, resources["tokenizer"], where=str(path)),
        retries=file.retries,
        searches=tuple(searches),
    )


def _extended(path: Path, below: tuple[Path, ...] = ()) -> dict[str, Any]:
    """The keys of a suite's file, on top of those of the file that it `extends`.

    `set` overrides the base settings by dotted path; any other key replaces the other file's.
    """
    raw = read_yaml(path)
    if "extends" not in raw:
        return raw
    if path.resolve() in below or len(below) > MOST_NESTED:
        raise UserError(f"{path}: extends: leads back to this file; remove one of the links")
    if not isinstance(raw["extends"], str):
        raise UserError(f"{path}: extends: give the path of a suite's YAML file")
    try:
        other = _extended(
            path.parent / os.path.expanduser(raw.pop("extends")), (*below, path.resolve())
        )
    except UserError as error:
        raise UserError(f"{path}: extends: {error}") from None
    changes = raw.pop("set", {})
    if not isinstance(changes, dict):
        raise UserError(f"{path}: set: give settings by dotted path, as an arm does")
    merged = {**other, **raw}
    base = merged.get("base")
    if isinstance(base, dict):
        for dotted, value in changes.items():
            assign(base, str(dotted), value, where=f"{path}: set")
    return merged


def _resources(stage: str, file: SuiteFile, *, where: str) -> Resources:
    """Resources that a stage asks for; only those that train, decode or time use the device."""
    asked = file.resources.get(stage, StageResources())
    on_device = STAGES[stage].device
    if not on_device or file.device == "cpu":
        if asked.gpus:
            reason = "device is cpu" if on_device else "this stage runs on the CPU"
            raise UserError(f"{where}: resources.{stage}.gpus: {reason}; remove it")
        ranks = _ranks(stage, asked, "cpu", where=where)
        return Resources(asked.cpus, ranks=ranks, memory_gb=asked.memory_gb or 0.0)
    ranks, gpus = _ranks(stage, asked, file.device, where=where), asked.gpus
    share = 1.0 if gpus is None else gpus
    return Resources(asked.cpus, share, file.device, ranks, asked.memory_gb or 0.0)


def _ranks(stage: str, asked: StageResources, device: str, *, where: str) -> int:
    """Processes that a stage is computed by: what more than one is asked for has to be used."""
    where, gpus = f"{where}: resources.{stage}", max(1, int(asked.gpus or 1))
    ranks = asked.ranks or gpus
    if ranks == gpus == 1:
        return 1
    if not STAGES[stage].ranks:
        key = "gpus" if gpus > 1 else "ranks"
        able = ", ".join(name for name in OURS if STAGES[name].ranks)
        raise UserError(f"{where}.{key}: only {able} share their work; give at most 1")
    if device == "cuda" and ranks != gpus:
        raise UserError(
            f"{where}.ranks: {ranks} on {gpus} GPU{'s' * (gpus > 1)}, but each has one of its own; "
            "leave ranks out"
        )
    if device == "cpu" and ranks > asked.cpus:
        raise UserError(f"{where}.ranks: {ranks} need as many cpus, not {asked.cpus}; raise cpus")
    return ranks


def _refuse_unshared(path: Path, cell: Cell, resources: dict[str, Resources]) -> None:
    """Refuse batches that the ranks of a training cannot share."""
    config = cell.config
    asked = [("tokenizer", key, one.batch, one.accumulate) for key, one in config.trainings.items()]
    if config.generation is not None:
        batch = config.generation.training.batch
        asked.append(("generator", "generation.training", batch, 1))
    for stage, key, batch, parts in asked:
        try:
            require_shares(batch, parts=parts, ranks=resources[stage].ranks)
        except ValueError as error:
            raise UserError(f"{path}: '{cell.label}': {key}.{error}") from None


def _loader(file: SuiteFile, cells: list[Cell], training: Resources, *, where: str) -> Loader:
    """How images are loaded that stay in their files, if there are such."""
    loader = file.loader
    if loader != Loader() and all(getattr(c.config.data, "store", "") != "files" for c in cells):
        raise UserError(
            f"{where}: loader: no cell's images stay in their files (data.store: files); remove it"
        )
    if loader.workers > training.cpus:
        raise UserError(
            f"{where}: loader.workers: {loader.workers} are more than resources.tokenizer.cpus, "
            f"{training.cpus}, which they are among; raise that, or lower it"
        )
    return loader


def _refuse_twins(path: Path, cells: list[Cell]) -> None:
    seen: dict[str, Cell] = {}
    for cell in cells:
        twin = seen.setdefault(cell.key, cell)
        if twin is not cell:
            raise UserError(
                f"{path}: '{twin.label}' and '{cell.label}' are the same cell; remove one"
            )


def _refuse_namesakes(path: Path, cells: list[Cell]) -> None:
    """Refuse different cells of one name, and those of one group that differ in more than seeds."""
    labels: dict[str, Cell] = {}
    groups: dict[str, Cell] = {}
    for cell in cells:
        first = labels.setdefault(cell.label, cell)
        if first is not cell:
            raise UserError(
                f"{path}: {_arms(first, cell)}: two different cells are called '{cell.label}'; "
                "rename an arm"
            )
        first = groups.setdefault(cell.group, cell)
        if first is cell:
            continue
        settings = [own_settings(one.settings, one.reference) for one in (first, cell)]
        if found := settings_apart(settings):
            raise UserError(
                f"{path}: {_arms(first, cell)}: cells that differ in {found[0]} are both called "
                f"'{cell.group}', as if they were repetitions; rename an arm"
            )


def _arms(first: Cell, second: Cell) -> str:
    if first.arm == second.arm:
        return f"arm '{first.arm}'"
    return f"arms '{first.arm}' and '{second.arm}'"
