"""An arm's cells: settings of the base with its own and its sweep's, resolved and checked."""

from __future__ import annotations

import copy
import itertools
import math
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from types import MappingProxyType
from typing import Any, ClassVar

from adatok_core.config.checks import Strict
from adatok_core.registry import load_attribute
from bench.config.budget_reference import BudgetReference
from bench.config.cell import CellConfig
from bench.config.search import Search, StopEarly
from bench.config.settings import parse, plain
from bench.config.tokenizers import ELASTIC, TOKENIZER_KINDS, foreign_kind
from bench.config.yaml_text import MOST_NESTED
from bench.data.selection import ImageIds, read_ids
from bench.errors import UserError
from bench.files import content_key
from bench.metrics.declared import declared_metric
from bench.stages import extra_stage
from bench.suite.cells import Cell, Race
from bench.suite.references import sources_same, sources_where

# Names become tags in MLflow (8000).
LONGEST_ARM, LONGEST_LABEL = 200, 1000


@dataclass(frozen=True, kw_only=True)
class Arm(Strict):
    """A named part of the matrix: overrides by dotted path, and lists of values to sweep.

    With a `search`, settings are drawn as well, and all that is swept is done for each of them.
    `stop_early` ends trainings of its tokenizers that lag behind others of the arm.
    """

    name: str
    set: dict[str, Any] = field(default_factory=dict)
    sweep: dict[str, list[Any]] = field(default_factory=dict)
    search: Search | None = None
    stop_early: StopEarly | None = None

    def __post_init__(self) -> None:
        if len(self.name) > LONGEST_ARM:
            raise ValueError(f"name: longer than {LONGEST_ARM} letters; shorten it")
        if not self.name.strip() or not self.name.isprintable():
            raise ValueError("name: must be letters that can be read, on one line")
        for path in self.search.space if self.search else ():
            if path in self.sweep:
                raise ValueError(f"search.space.{path}: is swept as well; remove it from one")

    @property
    def cells(self) -> int:
        """How many cells it expands to."""
        samples = self.search.samples if self.search else 1
        return samples * math.prod(map(len, self.sweep.values()))


@dataclass(frozen=True, kw_only=True)
class Taken:
    """What a command takes of each split's images, whatever a suite says: see `Selectable`.

    `twins`: whether it may make cells alike that are not in the suite.
    """

    twins: ClassVar[bool] = False

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


def expand(
    arm: Arm,
    base: dict[str, Any],
    earlier: list[Cell],
    names: list[str],
    taken: Taken,
    *,
    where: str,
    suite: str = "",
    drawn: Mapping[str, Any] = MappingProxyType({}),
) -> list[Cell]:
    """The cells of an arm; `earlier` are those of the arms before it, `names` those of all arms.

    `drawn` are settings of a trial of its search.

    Raises:
        UserError: the first thing that is wrong, beginning with `where`.
    """
    cells = []
    race = _race(arm, base, suite)
    for values in itertools.product(*arm.sweep.values()):
        swept = {**drawn, **dict(zip(arm.sweep, values, strict=True))}
        raw = copy.deepcopy(base)
        for dotted, value in {**arm.set, **swept}.items():
            assign(raw, dotted, value, where=where)
        if isinstance(raw.get("data"), dict):
            taken.apply(raw)
            _read_ids(raw["data"], where=where)
        cell = replace(_cell(arm.name, raw, swept, earlier, names, where=where), race=race)
        _check_race(cell, where=where)
        cells.append(cell)
        if len(cells[-1].label) > LONGEST_LABEL:
            raise UserError(
                f"{where}: sweep: its values make a label of {len(cells[-1].label)} letters, more "
                f"than {LONGEST_LABEL}; put what they share into set"
            )
    if not cells:
        raise UserError(f"{where}: sweep: a list of values is empty")
    return cells


def _race(arm: Arm, base: dict[str, Any], suite: str) -> Race | None:
    """The trainings of an arm that may end early: those of other settings are no measure."""
    if arm.stop_early is None:
        return None
    about = [suite, arm.name, base, arm.set, plain(arm.stop_early)]
    return Race(content_key(about), arm.stop_early)


def _check_race(cell: Cell, *, where: str) -> None:
    if cell.race is None:
        return
    rule, where = cell.race.rule, f"{where}: stop_early"
    if cell.config.trained_here is None:
        raise UserError(f"{where}: the tokenizer is not trained here; remove it")
    steps = cell.config.training.steps
    if rule.grace >= steps:
        raise UserError(
            f"{where}.grace: {rule.grace} is not below the {steps} steps of the training; lower it"
        )
    metric = declared_metric(rule.metric, where=f"{where}.metric")
    if metric.measure is None or metric.higher_is_better is None:
        raise UserError(
            f"{where}.metric: '{rule.metric}' is not measured on single images; name one that is, "
            "such as mse or psnr"
        )


def assign(raw: dict[str, Any], dotted: str, value: Any, *, where: str) -> None:
    """Set a value by dotted path; a mapping replaces what was there, whole.

    Raises:
        UserError: the path leads through a value.
    """
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
    if raw.get("throughput") is not None:
        raise UserError(f"{at}: a speed is of a tokenizer whose budgets are known; list them")
    generation = raw.get("generation")
    if isinstance(generation, dict) and generation.get("budget") != "all":
        raise UserError(
            f"{where}: generation.budget: the tokenizer's length is not known yet; set it to all"
        )
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
