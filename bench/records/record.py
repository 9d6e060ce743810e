"""The record of a cell, typed: one versioned schema of the files `records/<suite>/*.json`.

`record.schema.json` beside this module is the same schema for other programs.
"""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pydantic

from bench.config.budget_reference import BudgetReference
from bench.config.settings import parse
from bench.errors import UserError
from bench.files import write_json
from bench.records.parts import (
    CurveRow,
    HistoryRow,
    Metrics,
    Part,
    PerturbedRow,
    Provenance,
    RecordedProtocol,
    StageCost,
)
from bench.records.sections.code_histograms import CodeHistograms
from bench.records.sections.codebook import Codebook
from bench.records.sections.codesign import CoDesigned
from bench.records.sections.generation import Generation
from bench.records.sections.search import EarlyStopping, SearchedCell
from bench.records.sections.speed import GenerationSpeed, Speed

if TYPE_CHECKING:
    from bench.config.cell import CellConfig

SCHEMA_VERSION = 1
SCHEMA_FILE = Path(__file__).with_name("record.schema.json")

Kind = Literal["reconstruction", "generation", "throughput"]

# Results that a record of this kind has when it is done; a cell without a result has none of them.
RESULTS: dict[Kind, tuple[str, ...]] = {
    "reconstruction": ("metrics", "curve", "controls", "histories", "protocol", "protocol_hash"),
    "generation": (
        "metrics", "curve", "controls", "histories", "generation", "protocol", "protocol_hash",
    ),
    "throughput": ("metrics", "curve", "controls", "histories", "throughput"),
}  # fmt: skip


_NONE: Any = pydantic.Field(default_factory=dict)


class Record(Part):
    """The result of a cell, or that it has none yet: its settings, its status, its values.

    `label` names the cell, `group` the cells that differ from it in seeds only. `length_from` says
    which cells' mean budget its tokenizer's length comes from. `images` and `gallery` are paths
    relative to the store. `config` gives the settings typed.

    A cell that is failed, pending or `stopped`, as its tokenizer's training has ended early, has no
    results, from `allocator` to `histories`: its file lacks their keys, and here they are empty or
    None. `search` is of a cell that a search has tried, `stop_early` of one whose training could
    end so.
    """

    schema_version: Literal[1]
    suite: str
    question: str
    cell_key: str
    arm: str
    label: str
    group: str
    swept: dict[str, Any]
    reference_arm: str | None
    length_from: BudgetReference | None
    settings: dict[str, Any]
    status: Literal["done", "failed", "pending", "stopped"]
    error: str | None
    kind: Kind = "reconstruction"
    search: SearchedCell | None = None
    stop_early: EarlyStopping | None = None
    allocator: str | None = None
    metrics: Metrics = Metrics({})
    curve: tuple[CurveRow, ...] = ()
    trade_offs: dict[Literal["agnostic", "oracle"], tuple[tuple[float, float], ...]] = _NONE
    controls: dict[str, Metrics] = _NONE
    perturbed: tuple[PerturbedRow, ...] = ()
    generation: Generation | None = None
    code_histograms: CodeHistograms | None = None
    codebook: Codebook | None = None
    throughput: Speed | None = None
    codesign: CoDesigned | None = None
    tokenizer_parameters: int | None = None
    protocol: RecordedProtocol | None = None
    protocol_hash: str | None = None
    images: str | None = None
    gallery: str | None = None
    histories: dict[str, tuple[HistoryRow, ...]] = _NONE
    stages: tuple[StageCost, ...]
    provenance: Provenance

    @pydantic.model_validator(mode="after")
    def _check_results(self) -> Record:
        given = self.model_fields_set
        if self.done:
            missing = [name for name in RESULTS[self.kind] if name not in given]
            if missing:
                raise ValueError(f"{missing[0]}: missing in a {self.kind} that is done")
        elif found := [name for name in _RESULT_FIELDS if name in given]:
            raise ValueError(f"{found[0]}: a cell that is {self.status} has no results")
        return self

    @property
    def done(self) -> bool:
        """Whether the cell has a result."""
        return self.status == "done"

    @property
    def stopped(self) -> bool:
        """Whether the cell has no result as its tokenizer's training was stopped early."""
        return self.status == "stopped"

    @property
    def generation_speed(self) -> GenerationSpeed | None:
        """The speed of generation, of a throughput's record."""
        return self.throughput if isinstance(self.throughput, GenerationSpeed) else None

    @functools.cached_property
    def config(self) -> CellConfig:
        """The settings, checked and typed.

        A tokenizer's length that is not known yet stands as the least that the settings allow.

        Raises:
            UserError: the settings are not those of this version.
        """
        from bench.config.cell import CellConfig  # It imports pandas, which takes long.

        settings = self.settings
        if isinstance(self.setting("tokenizer.budgets"), dict):
            stand_in = {**settings["tokenizer"], "budgets": [self._least_length]}
            settings = {**settings, "tokenizer": stand_in}
        return parse(CellConfig, settings, where=f"record {self.cell_key}")

    @property
    def _least_length(self) -> int:
        """The fewest tokens that a tokenizer of these settings can have."""
        if self.setting("tokenizer.encoding") == "grid":
            side = self.setting("data.resolution") // self.setting("tokenizer.patch_size")
            return int(side**2)
        return int(self.setting("tokenizer.rollouts") or 1)

    def setting(self, dotted: str) -> Any:
        """A setting by its dotted path, for paths that people give; None where there is none."""
        value: Any = self.settings
        for name in dotted.split("."):
            value = value.get(name) if isinstance(value, dict) else None
        return value


_FIELDS = tuple(Record.model_fields)
_RESULT_FIELDS = _FIELDS[_FIELDS.index("allocator") : _FIELDS.index("histories") + 1]


def json_schema() -> dict[str, Any]:
    """The JSON schema of a record's file, as it ships beside this module."""
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:adatok-bench:record:{SCHEMA_VERSION}",
    }
    return head | Record.model_json_schema()


def parse_record(content: bytes | str, *, where: str) -> Record:
    """Check the JSON text of a record.

    Raises:
        UserError: not JSON, of another version, or a key is missing, foreign or of another type.
    """
    try:
        return Record.model_validate_json(content)
    except pydantic.ValidationError as error:
        raise UserError(f"{where}: {_problem(content, error)}") from None


def _problem(content: bytes | str, error: pydantic.ValidationError) -> str:
    """The first problem of a record's text, and its remedy."""
    again = "run its suite again, which writes it anew"
    try:
        found = json.loads(content)
    except ValueError as invalid:  # Not JSON, or not UTF-8.
        return f"not a whole record ({invalid}); {again}"
    version = found.get("schema_version") if isinstance(found, dict) else None
    if not isinstance(version, int):
        return "not a record of adatok-bench; move it elsewhere"
    if version > SCHEMA_VERSION:
        return "written by a newer adatok-bench; update this one to read it"
    if version < SCHEMA_VERSION:
        return f"of schema {version}, which is read no more; {again}"
    first = error.errors(include_url=False)[0]
    key = ".".join(str(step) for step in first["loc"])
    message = {"missing": "missing", "extra_forbidden": "unknown key"}.get(first["type"])
    message = message or first["msg"].removeprefix("Value error, ")
    at = f"{key}: " if key else ""
    return f"{at}{message[0].lower()}{message[1:]}; {again}"


if __name__ == "__main__":
    write_json(SCHEMA_FILE, json_schema())
