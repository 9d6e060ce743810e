"""Parts of the record of a cell that a search has tried, or whose training could end early."""

from __future__ import annotations

from typing import Any, Literal

from bench.records.parts import Part


class SearchedCell(Part):
    """The search that a cell is of: its objectives, its space, and which trial the cell is of."""

    name: str
    algorithm: Literal["random", "optuna"]
    trial: int
    samples: int
    objectives: dict[str, Literal["minimize", "maximize"]]
    space: dict[str, dict[str, Any]]


class Rung(Part):
    """The value of a training on validation images after so many steps."""

    step: int
    value: float


class EarlyStopping(Part):
    """What the training of a cell's tokenizer was judged by while it ran.

    `stopped_at` is the step, of `steps`, after which it was stopped; None where it was not.
    """

    metric: str
    steps: int
    rungs: tuple[Rung, ...]
    stopped_at: int | None
