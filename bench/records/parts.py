"""Parts of a record that every kind has: metrics, rows of curves and trainings, stages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import pydantic

from bench.errors import UserError, suggestion
from bench.metrics.declared import declared_metric

Value = float | int | bool | None


class Part(pydantic.BaseModel):
    """A frozen part of a record that knows all its keys."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", strict=True)

    def plain(self) -> dict[str, Any]:
        """The part as its file holds it: plain values, without the keys that it does not have."""
        return self.model_dump(mode="json", exclude_unset=True)


class Row(Part):
    """A frozen row: what it is of, and beside that values by name."""

    model_config = pydantic.ConfigDict(frozen=True, extra="allow", strict=True)
    __pydantic_extra__: dict[str, Value]

    @property
    def values(self) -> dict[str, Value]:
        """All that was measured at this row, by name."""
        return self.__pydantic_extra__


def measured(values: Mapping[str, Value], name: str) -> float | None:
    """The value of a declared metric; raises `UserError` where there is no such metric."""
    declared_metric(name)
    return values.get(name)


class Metrics(pydantic.RootModel[dict[str, Value]]):
    """Values by the names of metrics; to ask for a name that is not declared is an error."""

    model_config = pydantic.ConfigDict(frozen=True, strict=True)

    def value(self, name: str) -> float | None:
        """A metric's value; None where it was not measured.

        Raises:
            UserError: there is no such metric.
        """
        return measured(self.root, name)

    def number(self, name: str) -> float:
        """The value of a metric that every such record has.

        Raises:
            UserError: there is no such metric, or it was not measured.
        """
        found = self.value(name)
        if found is None:
            raise UserError(f"metric {name}: was not measured; run the suite again")
        return found

    def __contains__(self, name: object) -> bool:
        """Whether the metric was measured, if only as null."""
        return name in self.root

    def __iter__(self) -> Iterator[str]:  # type: ignore[override]
        """Names of all that was measured."""
        return iter(self.root)


class MetricRow(Row):
    """A row of values by the names of metrics."""

    def value(self, name: str) -> float | None:
        """A metric's value at this row, as `Metrics.value` gives it."""
        return measured(self.values, name)


class CurveRow(MetricRow):
    """Metrics at one fixed budget; `trained` says whether training ever drew this length."""

    budget: int
    trained: bool


class PerturbedRow(MetricRow):
    """Metrics of `n` images whose tokens were perturbed, at one fixed budget and setting.

    A share `alpha` of them was replaced, by one of the `neighbours` nearest codes or by any where
    that is null (`bench.judging.perturbation`).
    """

    budget: int
    alpha: float
    neighbours: int | None
    n: int


class HistoryRow(Row):
    """Values of a training at one step, by the names under which it logs them."""

    step: int

    def value(self, name: str) -> float | None:
        """A logged value.

        Raises:
            UserError: nothing is logged under this name.
        """
        if name not in self.values:
            near = suggestion(name, list(self.values))
            raise UserError(f"history: nothing is called '{name}'{near}")
        return self.values[name]

    def __contains__(self, name: object) -> bool:
        """Whether a value is logged under this name."""
        return name in self.values


class Resources(Part):
    """The resources of a stage: CPU threads, a share of a GPU, the device, processes, memory."""

    cpus: int
    gpus: float
    device: str
    ranks: int = 1
    memory_gb: float = 0.0


class StageCost(Part):
    """One stage that the cell needed, and what it took; bytes are its process's peak.

    Trainings of a tokenizer have the images that they saw and decoded, the tokens that these kept,
    and whether they ignited; older ones lack some of it.
    """

    stage: str
    key: str
    seconds: float
    peak_memory_bytes: int | None
    resources: Resources
    images_seen: int | None = None
    decoder_passes: int | None = None
    token_passes: int | None = None
    ignition: Literal["ignited", "plateau"] | None = None


class Provenance(Part):
    """Code, packages and machine; null where they could not be told."""

    git_commit: str | None
    git_dirty: bool | None
    packages: dict[str, str | None]
    python: str
    platform: str
    host: str
    cpus: int | None


class Spread(Part):
    """The median of repeated measurements and their quartiles."""

    median: float | None
    quartile_low: float | None
    quartile_high: float | None


class RecordedProtocol(Part):
    """The evaluation protocol of a cell's values, as `bench.records.protocol` describes it.

    Only generated images have `sampling`, and only a part of a set's images `selection`.
    """

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
    selection: dict[str, Any] | None = None
