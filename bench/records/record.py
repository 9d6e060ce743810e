"""The record of a cell, typed: one versioned schema of the files `records/<suite>/*.json`.

`record.schema.json` beside this module is the same schema for other programs.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import pydantic

from bench.config.budget_reference import BudgetReference
from bench.config.settings import parse
from bench.errors import UserError, suggestion
from bench.metrics.declared import declared_metric

if TYPE_CHECKING:
    from bench.config.cell import CellConfig

SCHEMA_VERSION = 1
SCHEMA_FILE = Path(__file__).with_name("record.schema.json")

Value = float | int | bool | str | None
Kind = Literal["reconstruction", "generation", "throughput"]

# Results that a record of this kind has when it is done; a cell without a result has none of them.
RESULTS: dict[Kind, tuple[str, ...]] = {
    "reconstruction": ("metrics", "curve", "controls", "histories", "protocol", "protocol_hash"),
    "generation": (
        "metrics", "curve", "controls", "histories", "generation", "protocol", "protocol_hash",
    ),
    "throughput": ("metrics", "curve", "controls", "histories", "throughput"),
}  # fmt: skip


class _Part(pydantic.BaseModel):
    """A frozen part of a record that knows all its keys."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", strict=True)


class _Row(pydantic.BaseModel):
    """A frozen row: what it is of, and beside that values by name."""

    model_config = pydantic.ConfigDict(frozen=True, extra="allow", strict=True)
    __pydantic_extra__: dict[str, Value]

    @property
    def values(self) -> dict[str, Value]:
        """All that was measured at this row, by name."""
        return self.__pydantic_extra__


def _value(values: Mapping[str, Value], name: str) -> float | None:
    declared_metric(name)
    found = values.get(name)
    return found if isinstance(found, int | float) else None


class Metrics(pydantic.RootModel[dict[str, Value]]):
    """Values by the names of metrics; to ask for a name that is not declared is an error."""

    model_config = pydantic.ConfigDict(frozen=True, strict=True)

    def value(self, name: str) -> float | None:
        """A metric's value; None where it was not measured.

        Raises:
            UserError: there is no such metric.
        """
        return _value(self.root, name)

    def __contains__(self, name: object) -> bool:
        """Whether the metric was measured, if only as null."""
        return name in self.root

    def __iter__(self) -> Iterator[str]:  # type: ignore[override]
        """Names of all that was measured."""
        return iter(self.root)


class CurveRow(_Row):
    """Metrics at one fixed budget; `trained` says whether training ever drew this length."""

    budget: int
    trained: bool

    def value(self, name: str) -> float | None:
        """A metric's value at this budget, as `Metrics.value` gives it."""
        return _value(self.values, name)


class HistoryRow(_Row):
    """Values of a training at one step, by the names under which it logs them."""

    step: int

    def value(self, name: str) -> float | None:
        """A logged value.

        Raises:
            UserError: nothing is logged under this name.
        """
        if name not in self.values:
            raise UserError(f"history: nothing is called '{name}'{suggestion(name, self.values)}")
        found = self.values[name]
        return found if isinstance(found, int | float) else None

    def __contains__(self, name: object) -> bool:
        """Whether a value is logged under this name."""
        return name in self.values


class Resources(_Part):
    """The resources of a stage: CPU threads, a share of a GPU, the device."""

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


class LengthRow(_Row):
    """Distances of generated images of up to `tokens` tokens; `n` and `n_reference` images."""

    tokens: int
    n: int
    n_reference: int

    def value(self, name: str) -> float | None:
        """A metric's value, as `Metrics.value` gives it."""
        return _value(self.values, name)


class ClassRow(_Part):
    """Mean tokens of the samples of a class, and of its real images."""

    label: int
    name: str
    n: int
    mean_tokens: float
    n_data: int
    mean_tokens_data: float


class Generation(_Part):
    """Qualities of a generator's samples: shares and distances by length, rows by length and class.

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


class RecordedProtocol(_Part):
    """The evaluation protocol of a cell's values, as `bench.records.protocol` describes it."""

    images_digest: str
    images_count: int
    resolution: int
    crop: str
    resize_filter: str
    uint8_rule: str
    reference: str
    feature_dtype: str
    error_dtype: str
    perceptual: str
    weights: str
    estimators: dict[str, Any]
    extractors: dict[str, dict[str, Any]]
    versions: dict[str, str]
    sampling: dict[str, Any] | None = None

    def plain(self) -> dict[str, Any]:
        """The protocol by field; `sampling` is there for generated images only."""
        return self.model_dump(exclude_unset=True)


def _speed_of(value: Any) -> str:
    """Which of the two speeds it is: a generator's has rows."""
    generator = "rows" in value if isinstance(value, dict) else hasattr(value, "rows")
    return "generator" if generator else "tokenizer"


Speed = Annotated[
    Annotated[TokenizerSpeed, pydantic.Tag("tokenizer")]
    | Annotated[GenerationSpeed, pydantic.Tag("generator")],
    pydantic.Discriminator(_speed_of),
]


class Record(_Part):
    """The result of a cell, or that it has none yet: its settings, its status, its values.

    `label` names the cell, `group` the cells that differ from it in seeds only. `length_from` says
    which cells' mean budget its tokenizer's length comes from. `images` and `gallery` are paths
    relative to the store. `config` gives the settings typed.

    A cell that is failed or pending has no results, from `allocator` to `histories`: its file lacks
    their keys, and here they are empty or None.
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
    status: Literal["done", "failed", "pending"]
    error: str | None
    kind: Kind = "reconstruction"
    allocator: str | None = None
    metrics: Metrics = Metrics({})
    curve: tuple[CurveRow, ...] = ()
    trade_offs: dict[Literal["agnostic", "oracle"], tuple[tuple[float, float], ...]] = {}
    controls: dict[str, Metrics] = {}
    generation: Generation | None = None
    codebook: Codebook | None = None
    throughput: Speed | None = None
    tokenizer_parameters: int | None = None
    protocol: RecordedProtocol | None = None
    protocol_hash: str | None = None
    images: str | None = None
    gallery: str | None = None
    histories: dict[str, tuple[HistoryRow, ...]] = {}
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
    def generation_speed(self) -> GenerationSpeed | None:
        """The speed of generation, of a throughput's record."""
        return self.throughput if isinstance(self.throughput, GenerationSpeed) else None

    @property
    def tokenizer_speed(self) -> TokenizerSpeed | None:
        """The speed of the tokenizer, of a reconstruction's record."""
        return self.throughput if isinstance(self.throughput, TokenizerSpeed) else None

    @functools.cached_property
    def config(self) -> CellConfig:
        """The settings, checked and typed.

        A tokenizer's length that is not known yet stands as the least that the settings allow.

        Raises:
            UserError: the settings are not those of this version.
        """
        from bench.config.cell import CellConfig  # It imports pandas, which takes long.

        settings = self.settings
        if isinstance(settings["tokenizer"]["budgets"], dict):
            stand_in = {**settings["tokenizer"], "budgets": [_least_length(settings)]}
            settings = {**settings, "tokenizer": stand_in}
        return parse(CellConfig, settings, where=f"record {self.cell_key}")

    def setting(self, dotted: str) -> Any:
        """A setting by its dotted path, for paths that people give; None where there is none."""
        value: Any = self.settings
        for name in dotted.split("."):
            value = value.get(name) if isinstance(value, dict) else None
        return value

    def plain(self) -> dict[str, Any]:
        """The record as its file holds it, without the keys that it does not have yet."""
        return self.model_dump(exclude_unset=True)


_FIELDS = tuple(Record.model_fields)
_RESULT_FIELDS = _FIELDS[_FIELDS.index("allocator") : _FIELDS.index("histories") + 1]


def _least_length(settings: dict[str, Any]) -> int:
    """The fewest tokens that a tokenizer of these settings can have."""
    tokenizer = settings["tokenizer"]
    if tokenizer["encoding"] == "grid":
        return (settings["data"]["resolution"] // tokenizer["patch_size"]) ** 2
    return tokenizer["rollouts"] or 1


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
