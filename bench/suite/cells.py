"""Cells: the rows of a suite's matrix."""

from __future__ import annotations

import functools
from dataclasses import asdict, dataclass
from typing import Any

from bench.config.budget_reference import BudgetReference
from bench.config.cell import CellConfig
from bench.config.search import Search, StopEarly
from bench.config.settings import plain
from bench.files import content_key
from bench.suite.labels import arm_and_sweep

# Settings that a cell may be without leave no trace in one that is: its key stays what it was.
OPTIONAL = (
    *("codesign", "generation", "throughput", "extra", "bank.extractors", "bank.metrics"),
    *("bank.weights", "bank.weights_sha256"),
    *("data.train_folder", "data.validation_folder"),
    *("data.limit", "data.ids", "data.undivided"),
    *("evaluation.perturbed", "evaluation.prefix_cosine_images"),
    *("data.limit", "data.ids", "data.undivided", "data.augment"),
)
# The same of settings of a bank that may be 0.
UNSET = ("policy_seed", "latents")


@dataclass(frozen=True)
class SearchOf:
    """Which trial of which search a cell is of; `name` is that of its file in a store."""

    name: str
    search: Search
    trial: int


@dataclass(frozen=True)
class Race:
    """The trainings that a cell's is set against, by the `name` of their file in a store."""

    name: str
    rule: StopEarly


@dataclass(frozen=True)
class Cell:
    """One row of the matrix.

    `swept` holds the values of the arm's sweep by dotted path. With a `reference`, the tokenizer's
    budgets in `config` are a stand-in until the cells at `sources` are evaluated. `search` is that
    of a cell that one has drawn, and `race`, where its training may end early, names those that it
    is set against. Neither enters the key.
    """

    arm: str
    config: CellConfig
    swept: dict[str, Any]
    reference: BudgetReference | None = None
    sources: tuple[int, ...] = ()
    search: SearchOf | None = None
    race: Race | None = None

    @property
    def settings(self) -> dict[str, Any]:
        """The resolved settings, as plain values."""
        settings: dict[str, Any] = plain(self.config)
        for key in UNSET:
            if settings["bank"][key] is None:
                del settings["bank"][key]
        for path in OPTIONAL:
            part, _, name = path.rpartition(".")
            owner = settings[part] if part else settings
            if not owner.get(name, True):
                del owner[name]
        data = settings["data"]
        if data["kind"] == "image_folder" and data["store"] == "pixels":
            del data["store"]  # As it was before there was a choice.
        if self.config.trained_here is None:
            del settings["training"], settings["finetuning"]
            data.pop("augment", None)
        if self.reference is not None:
            settings["tokenizer"]["budgets"] = asdict(self.reference)
        return settings

    @functools.cached_property
    def key(self) -> str:
        """Identity of the cell within its suite; lists of images count by content."""
        settings = self.settings
        if settings["data"].get("ids"):
            del settings["data"]["ids"]["file"]
        return content_key(settings)

    @property
    def label(self) -> str:
        """The arm and the swept values, for people."""
        return arm_and_sweep(self.arm, self.swept, seeds=True)

    @property
    def group(self) -> str:
        """The label without seeds: cells that share it are repetitions of one experiment."""
        return arm_and_sweep(self.arm, self.swept)
