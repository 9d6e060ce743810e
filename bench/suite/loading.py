"""A suite: a YAML file whose arms expand to cells, each a fully resolved configuration."""

from __future__ import annotations

import copy
import itertools
import math
import os
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from adatok_core.config.checks import Strict
from adatok_core.registry import load_attribute
from bench.config.budget_reference import BudgetReference
from bench.config.cell import CellConfig
from bench.config.settings import parse, plain
from bench.config.tokenizers import ELASTIC, TOKENIZER_KINDS, foreign_kind
from bench.config.yaml_text import MOST_NESTED, read_yaml
from bench.data.selection import ImageIds, read_ids
from bench.errors import UserError, suggestion
from bench.records.settings_paths import own_settings, settings_apart
from bench.stages import OURS, STAGES, extra_stage
from bench.store.stage import Resources
from bench.suite.cells import Cell
from bench.suite.references import sources_same, sources_where

MOST_CELLS = 5000
# Names become those of files (255 bytes, of which the store adds some) and tags in MLflow (8000).
LONGEST_SUITE_BYTES, LONGEST_ARM, LONGEST_LABEL, LONGEST_QUESTION = 150, 200, 1000, 5000


@dataclass(frozen=True, kw_only=True)
class Arm(Strict):
    """A named part of the matrix: overrides by dotted path, and lists of values to sweep."""

    name: str
    set: dict[str, Any] = field(default_factory=dict)
    sweep: dict[str, list[Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(self.name) > LONGEST_ARM:
            raise ValueError(f"name: longer than {LONGEST_ARM} letters; shorten it")
        if not self.name.strip() or not self.name.isprintable():
            raise ValueError("name: must be letters that can be read, on one line")

    @property
    def cells(self) -> int:
        """How many cells it expands to."""
        return math.prod(map(len, self.sweep.values()))


@dataclass(frozen=True, kw_only=True)
class StageResources(Strict):
    """CPU threads and share of a GPU of one stage; on device cuda the share is 1 unless given."""

    cpus: int = 1
    gpus: float | None = None

    def __post_init__(self) -> None:
        if self.cpus < 1:
            raise ValueError("cpus: must be 1 or more")
        if self.gpus is not None and self.gpus <= 0:
            raise ValueError("gpus: must be positive")


@dataclass(frozen=True, kw_only=True)
class SuiteFile(Strict):
    """The keys of a suite's YAML. Reports compare the other arms with `reference_arm`."""

    suite: str
    question: str
    base: dict[str, Any]
    arms: list[Arm]
    device: Literal["cpu", "cuda"] = "cpu"
    resources: dict[str, StageResources] = field(default_factory=dict)
    reports: list[str] = field(default_factory=list)
    reference_arm: str | None = None

    def __post_init__(self) -> None:
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


@dataclass(frozen=True, kw_only=True)
class Taken:
    """What a command takes of each split's images, whatever a suite says: see `Selectable`."""

    limit: int | None = None
    ids: ImageIds | None = None

    @staticmethod
    def of(limit: int | None, file: str | None) -> Taken:
        """A command's options `--limit` and `--ids`; raises UserError where the list is none."""
        ids = None if file is None else read_ids(ImageIds(file=file), key="--ids")[0]
        return Taken(limit=limit, ids=ids)

    @property
    def suffix(self) -> str:
        """Ending of the name that results go by: `@16`, `@ids-1f0c2ab9`; none where all is taken.

        No suite is called so: their results stand beside those of all images, not in their place.
        """
        parts = [] if self.limit is None else [str(self.limit)]
        if self.ids is not None:
            parts.append(f"ids-{str(self.ids.sha256)[:8]}")
        return f"@{'-'.join(parts)}" if parts else ""

    def apply(self, raw: dict[str, Any]) -> None:
        """Write it into a cell's settings; a policy's bank takes no more images than there are."""
        if self.limit is not None:
            raw["data"]["limit"] = self.limit
            bank = raw.get("bank")
            if isinstance(bank, dict) and isinstance(bank.get("policy_images"), int):
                bank["policy_images"] = min(bank["policy_images"], self.limit)
        if self.ids is not None:
            raw["data"]["ids"] = asdict(self.ids)


ALL = Taken()


@dataclass(frozen=True)
class Suite:
    """A suite's cells and how they are to be run."""

    name: str
    question: str
    path: Path
    cells: tuple[Cell, ...]
    resources: dict[str, Resources]
    reports: tuple[str, ...]
    reference_arm: str | None = None


def read_suite_file(path: Path) -> SuiteFile:
    """The keys of a suite's file, those that it extends included; cells are not looked at.

    Raises:
        UserError: the first thing that is wrong, naming the file and the key.
    """
    return parse(SuiteFile, _extended(path), where=str(path))


def load_suite(path: str | Path, taken: Taken = ALL) -> Suite:
    """Read, check and expand a suite, of all its images or a part of them.

    Raises:
        UserError: the first thing that is wrong, naming the file and the key.
    """
    path = Path(os.path.expanduser(path))
    return make_suite(read_suite_file(path), path, taken)


def make_suite(file: SuiteFile, path: Path, taken: Taken = ALL) -> Suite:
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
    for arm in file.arms:
        where = f"{path}: arm '{arm.name}'"
        cells += _expand(arm, file.base, cells, names, taken, where=where)
    _refuse_twins(path, cells)
    _refuse_namesakes(path, cells)
    extras = [stage for cell in cells for stage in cell.config.extra or ()]
    resources = {
        stage: _resources(stage, file, where=str(path))
        for stage in dict.fromkeys([*OURS, *extras, *file.resources])
    }
    return Suite(
        name=file.suite + taken.suffix,
        question=" ".join(file.question.split()),
        path=path,
        cells=tuple(cells),
        resources=resources,
        reports=tuple(file.reports),
        reference_arm=file.reference_arm,
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
            _assign(base, str(dotted), value, where=f"{path}: set")
    return merged


def _resources(stage: str, file: SuiteFile, *, where: str) -> Resources:
    """Resources that a stage asks for; only training and decoding ever use the device."""
    asked = file.resources.get(stage, StageResources())
    on_device = STAGES[stage].device
    if not on_device or file.device == "cpu":
        if asked.gpus:
            reason = "device is cpu" if on_device else "this stage runs on the CPU"
            raise UserError(f"{where}: resources.{stage}.gpus: {reason}; remove it")
        return Resources(asked.cpus)
    return Resources(asked.cpus, 1.0 if asked.gpus is None else asked.gpus, file.device)


def _expand(
    arm: Arm,
    base: dict[str, Any],
    earlier: list[Cell],
    names: list[str],
    taken: Taken,
    *,
    where: str,
) -> list[Cell]:
    cells = []
    for values in itertools.product(*arm.sweep.values()):
        swept = dict(zip(arm.sweep, values, strict=True))
        raw = copy.deepcopy(base)
        for dotted, value in {**arm.set, **swept}.items():
            _assign(raw, dotted, value, where=where)
        if isinstance(raw.get("data"), dict):
            taken.apply(raw)
            _read_ids(raw["data"], where=where)
        cells.append(_cell(arm.name, raw, swept, earlier, names, where=where))
        if len(cells[-1].label) > LONGEST_LABEL:
            raise UserError(
                f"{where}: sweep: its values make a label of {len(cells[-1].label)} letters, more "
                f"than {LONGEST_LABEL}; put what they share into set"
            )
    if not cells:
        raise UserError(f"{where}: sweep: a list of values is empty")
    return cells


def _assign(raw: dict[str, Any], dotted: str, value: Any, *, where: str) -> None:
    """Set a value by dotted path; a mapping replaces what was there, whole."""
    *parents, last = dotted.split(".")
    if len(parents) > MOST_NESTED:
        raise UserError(f"{where}: {dotted}: no setting has so many names")
    for name in parents:
        if raw.get(name) is None:
            raw[name] = {}
        raw = raw[name]
        if not isinstance(raw, dict):
            raise UserError(f"{where}: {dotted}: '{name}' is a value and holds no keys")
    raw[last] = copy.deepcopy(value)


def _read_ids(data: dict[str, Any], *, where: str) -> None:
    """Put hash and count of its list into the settings of an image source, if it has a list."""
    if data.get("ids") is None:
        return
    given = {"file": data["ids"]} if isinstance(data["ids"], str) else data["ids"]
    try:
        ids, _ = read_ids(parse(ImageIds, given, where="data.ids"))
    except UserError as error:
        raise UserError(f"{where}: {error}") from None
    data["ids"] = asdict(ids)


def _cell(
    arm: str,
    raw: dict[str, Any],
    swept: dict[str, Any],
    earlier: list[Cell],
    names: list[str],
    *,
    where: str,
) -> Cell:
    tokenizer = raw["tokenizer"] = _tokenizer(raw.get("tokenizer", {}), where=where)
    budgets = tokenizer.get("budgets") if isinstance(tokenizer, dict) else None
    if not isinstance(tokenizer, dict) or not isinstance(budgets, dict):
        return Cell(arm, _config(raw, where=where), swept)
    at = f"{where}: tokenizer.budgets"
    reference = parse(BudgetReference, budgets, where=at)
    if isinstance(raw.get("bank"), dict) and raw["bank"].get("budgets") is not None:
        raise UserError(
            f"{where}: bank.budgets: cannot be given where the tokenizer's budget is not known "
            "yet; set it to null"
        )
    if raw.get("generation") is not None or raw.get("throughput") is not None:
        raise UserError(f"{at}: a generator's tokenizer needs budgets that are known; list them")
    sources = sources_where(reference, earlier, names, where=at)
    largest = max(earlier[index].config.tokenizer.max_tokens for index in sources)
    stand_in = {**raw, "tokenizer": {**tokenizer, "budgets": [largest]}}
    config = _config(stand_in, where=where)
    sources = sources_same(reference, sources, earlier, asdict(config), where=at)
    return Cell(arm, config, swept, reference, sources)


def _tokenizer(raw: Any, *, where: str) -> Any:
    """Settings of a tokenizer, with the budgets of one that is not trained here."""
    kind = raw.get("kind", ELASTIC) if isinstance(raw, dict) else None
    if kind == ELASTIC:
        return {name: value for name, value in raw.items() if name != "kind"}
    if not isinstance(kind, str) or kind not in TOKENIZER_KINDS:
        return raw
    if isinstance(raw.get("budgets"), dict):
        raise UserError(
            f"{where}: tokenizer.budgets: a tokenizer that is not trained here has its lengths "
            "already; list them, or leave them out"
        )
    if raw.get("budgets") is not None:
        return raw
    foreign = foreign_kind(kind)
    settings = parse(foreign.config, raw, where=f"{where}: tokenizer")
    try:
        budgets = load_attribute(foreign.budgets)(settings, folder=os.getcwd())
    except UserError as error:
        raise UserError(f"{where}: {error}") from None
    return {**raw, "budgets": list(budgets)}


def _config(raw: dict[str, Any], *, where: str) -> CellConfig:
    """The settings of a cell, those of the stages of other packages included."""
    config = parse(CellConfig, raw, where=where)
    extra = {}
    for name, settings in (config.extra or {}).items():
        at = f"{where}: extra.{name}"
        kind = extra_stage(name, where=at).settings
        if kind is None and settings:
            raise UserError(f"{at}: takes no settings; give {{}}")
        extra[name] = {} if kind is None else plain(parse(kind, settings, where=at))
    return replace(config, extra=extra or None)


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
