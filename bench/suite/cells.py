"""Cells: the rows of a suite's matrix."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from bench.config.cell import CellConfig
from bench.files import content_key
from bench.suite.labels import describe_sweep

# Settings that a cell may be without leave no trace in one that is: its key stays what it was.
OPTIONAL = ("generation", "throughput")
OPTIONAL_DATA = ("train_folder", "validation_folder")


_STRICT = {"extra": "forbid"}


@dataclass(frozen=True, kw_only=True)
class BudgetReference:
    """`budgets: {mean_budget_of: ARM, where: {...}, same: [...]}`: one budget, read from cells.

    The mean budget, averaged and rounded, of the arm's cells whose settings equal `where`, and
    equal this cell's own at every path of `same`: with `same: [training.seed]` the length goes
    with the policies of its own seed.
    """

    __pydantic_config__ = _STRICT

    mean_budget_of: str
    where: dict[str, Any] = field(default_factory=dict)
    same: tuple[str, ...] = ()


@dataclass(frozen=True)
class Cell:
    """One row of the matrix.

    `swept` holds the values of the arm's sweep by dotted path. With a `reference`, the tokenizer's
    budgets in `config` are a stand-in until the cells at `sources` are evaluated.
    """

    arm: str
    config: CellConfig
    swept: dict[str, Any]
    reference: BudgetReference | None = None
    sources: tuple[int, ...] = ()

    @property
    def settings(self) -> dict[str, Any]:
        """The resolved settings, as plain values."""
        settings = asdict(self.config)
        for name in OPTIONAL:
            if settings[name] is None:
                del settings[name]
        for name in OPTIONAL_DATA:
            if settings["data"].get(name, "") is None:
                del settings["data"][name]
        if self.reference is not None:
            settings["tokenizer"]["budgets"] = asdict(self.reference)
        return settings

    @property
    def key(self) -> str:
        """Identity of the cell within its suite."""
        return content_key(self.settings)

    @property
    def label(self) -> str:
        """The arm and the swept values, for people."""
        return self._named(describe_sweep(self.swept))

    @property
    def group(self) -> str:
        """The label without seeds: cells that share it are repetitions of one experiment."""
        return self._named(describe_sweep(self.swept, seeds=False))

    def _named(self, sweep: str) -> str:
        return f"{self.arm}: {sweep}" if sweep else self.arm
