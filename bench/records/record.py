"""The record of a cell, typed: one versioned schema for what `records/<suite>/*.json` holds.

`record.schema.json` beside this module is the same schema for other programs.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pydantic

from bench.config.budget_reference import BudgetReference
from bench.config.cell import CellConfig
from bench.config.settings import parse
from bench.errors import UserError
from bench.metrics.declared import declared_metric

SCHEMA_VERSION = 1
SCHEMA_FILE = Path(__file__).with_name("record.schema.json")

Value = float | int | bool | str | None


class _Part(pydantic.BaseModel):
    """A frozen part of a record that knows all its keys."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="null")


class Metrics(pydantic.RootModel[dict[str, Value]]):
    """Values by the names of declared metrics; a name that is not declared is an error."""

    model_config = pydantic.ConfigDict(frozen=True)

    def value(self, name: str) -> float | None:
        """A metric's value; None where it was not measured.

        Raises:
            UserError: there is no such metric.
        """
        declared_metric(name)
        found = self.root.get(name)
        return found if isinstance(found, int | float) else None

    def __contains__(self, name: object) -> bool:
        """Whether the metric was measured, if only as null."""
        return name in self.root

    def __iter__(self) -> Iterator[str]:  # type: ignore[override]
        """Names of what was measured."""
        return iter(self.root)


class CurveRow(pydantic.BaseModel):
    """Metrics at one fixed budget; `trained` says whether training ever drew this length."""

    model_config = pydantic.ConfigDict(frozen=True, extra="allow")

    budget: int
    trained: bool = True

    @property
    def metrics(self) -> Metrics:
        """The metrics at this budget."""
        return Metrics(self.model_extra or {})

    def value(self, name: str) -> float | None:
        """A metric's value at this budget, as `Metrics.value` gives it."""
        return self.metrics.value(name)


class Resources(_Part):
    """What a stage was given: CPU threads, a share of a GPU, the device."""

    cpus: int
    gpus: float
    device: str


class StageCost(_Part):
    """One stage that the cell needed, and what it took; bytes are its process's peak."""

    stage: str
    key: str
    seconds: float
    peak_memory_bytes: int | None
    resources: Resources


class Provenance(_Part):
    """Code, packages and machine; null where they could not be told."""

    git_commit: str | None
    git_dirty: bool | None
    packages: dict[str, str | None]
    python: str
    platform: str
    host: str
    cpus: int | None


class Spread(_Part):
    """The median of repeated measurements and their quartiles."""

    median: float | None
    quartile_low: float | None
    quartile_high: float | None


class Codebook(_Part):
    """How the codes are used, over all tokens and by position: shares and bits."""

    usage: float
    entropy_bits: float
    usage_by_position: tuple[float, ...]
    entropy_bits_by_position: tuple[float, ...]


class TokenizerSpeed(_Part):
    """Images per second of the tokenizer: encoding, and decoding by budget."""

    device: str
    threads: int
    batch: int
    repeats: int
    encode_images_per_second: Spread
    decode_images_per_second: dict[str, Spread]


class LengthDistance(_Part):
    """A distance of two distributions of lengths, its interval, and what chance would give."""

    value: float
    low: float
    high: float
    chance: float
    p: float


class LengthRow(pydantic.BaseModel):
    """Distances of generated images of up to `tokens` tokens; `n` and `n_reference` images."""

    model_config = pydantic.ConfigDict(frozen=True, extra="allow")

    tokens: int
    n: int
    n_reference: int

    def value(self, name: str) -> float | None:
        """A metric's value, as `Metrics.value` gives it."""
        return Metrics(self.model_extra or {}).value(name)


class ClassRow(_Part):
    """Mean tokens of the samples of a class, and of its real images."""

    label: int
    name: str
    n: int
    mean_tokens: float
    n_data: int
    mean_tokens_data: float


class Generation(_Part):
    """What a generator's samples are like: shares by length, distances, rows by length and class.

    `lengths` are shares of images by tokens, of the data, the samples and the training images.
    """

    lengths: dict[Literal["data", "generated", "training"], dict[str, float]]
    unended: int
    distance: dict[Literal["total_variation", "wasserstein_1"], LengthDistance]
    by_length: tuple[LengthRow, ...]
    by_group: tuple[LengthRow, ...]
    by_class: tuple[ClassRow, ...]
    sampling: dict[str, Any]


class SpeedRow(_Part):
    """How fast an arm decodes in one mode; `ratio` is to the fixed arm, `of_ideal` to the ideal."""

    batch: int
    guidance: bool
    guidance_scale: float
    arm: Literal["fixed", "adaptive"]
    mode: str
    pixels: bool
    images: int
    images_per_second: Spread
    tokens_per_second: Spread
    ratio: float
    ratio_quartiles: tuple[float, float]
    of_ideal: float | None
    occupancy: float | None
    first_image_seconds: float | None
    peak_memory_bytes: int | None


class StepCost(_Part):
    """Seconds of one decoding step at a position."""

    batch: int
    guidance: bool
    guidance_scale: float
    position: int
    seconds: float


class MeasuredLengths(_Part):
    """The lengths that a throughput was measured with; `token_ratio` is fixed over mean."""

    kind: str
    fixed: int
    mean: float
    shares: dict[str, float]
    token_ratio: float


class GenerationSpeed(_Part):
    """Speed of generation: a row per arm, mode and setting, and the cost of a step by position."""

    weights: Literal["trained", "random"]
    device: str
    threads: int
    load_average: tuple[float, float]
    precision: str
    parameters: int
    vocabulary_size: int
    repeats: int
    rows: tuple[SpeedRow, ...]
    cost_by_position: tuple[StepCost, ...]
    lengths: MeasuredLengths


class Record(_Part):
    """What became of a cell: its settings, its status and, where it is done, its results.

    `label` names the cell, `group` the cells that differ from it in seeds only. `length_from` says
    which cells' mean budget its tokenizer's length comes from. `images` and `gallery` are paths
    relative to the store. `config` gives the settings typed.
    """

    schema_version: int
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
    status: Literal["done", "failed", "pending"]
    error: str | None
    kind: Literal["reconstruction", "generation", "throughput"] = "reconstruction"
    stages: tuple[StageCost, ...]
    provenance: Provenance
    allocator: str | None = None
    metrics: Metrics = Metrics({})
    curve: tuple[CurveRow, ...] = ()
    trade_offs: dict[Literal["agnostic", "oracle"], tuple[tuple[float, float], ...]] = {}
    controls: dict[str, Metrics] = {}
    histories: dict[str, tuple[dict[str, Value], ...]] = {}
    images: str | None = None
    gallery: str | None = None
    codebook: Codebook | None = None
    throughput: TokenizerSpeed | GenerationSpeed | None = None
    tokenizer_parameters: int | None = None
    generation: Generation | None = None
    protocol: dict[str, Any] | None = None
    protocol_hash: str | None = None

    @property
    def done(self) -> bool:
        """Whether the cell has a result."""
        return self.status == "done"

    @property
    def generation_speed(self) -> GenerationSpeed | None:
        """The speed of generation, of a throughput's record."""
        return self.throughput if isinstance(self.throughput, GenerationSpeed) else None

    @functools.cached_property
    def config(self) -> CellConfig:
        """The settings, checked and typed; a length that is not known yet is the largest known.

        Raises:
            UserError: the settings are not those of this version.
        """
        settings = self.settings
        if isinstance(settings["tokenizer"].get("budgets"), dict):
            stand_in = {**settings["tokenizer"], "budgets": [1]}
            settings = {**settings, "tokenizer": stand_in}
        return parse(CellConfig, settings, where=f"record {self.cell_key}")

    def setting(self, dotted: str) -> Any:
        """A setting by its dotted path, for paths that people give; None where there is none."""
        value: Any = self.settings
        for name in dotted.split("."):
            value = value.get(name) if isinstance(value, dict) else None
        return value


def parse_record(content: bytes | str, *, where: str) -> Record:
    """Check the JSON text of a record.

    Raises:
        UserError: not JSON, of another version, or a key is missing, foreign or of another type.
    """
    try:
        return Record.model_validate_json(content)
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(str(step) for step in first["loc"])
        at = f"{key}: " if key else ""
        raise UserError(f"{where}: {at}{first['msg'][0].lower()}{first['msg'][1:]}") from None
