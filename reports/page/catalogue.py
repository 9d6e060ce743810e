"""Which figures and tables a report tries, in the order of its page, each imported when drawn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from bench.errors import UserError
from bench.records.report_plugins import Report
from reports.analysis.groups import Record
from reports.tables.table import Table


@dataclass(frozen=True)
class FigureEntry:
    """A figure: the module whose `report` draws it, what it is called, and what it shows.

    `title` and `alt` stand in where the figure's own report does not say; `takes` names what its
    report is given beside the records: `store`, `published`.
    """

    name: str
    title: str
    alt: str
    takes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Drawn:
    """What became of a figure: files, or words on why there are none; `failed` where it broke."""

    entry: FigureEntry
    report: Report
    failed: bool = False

    @property
    def pictures(self) -> list[Path]:
        """The PNGs; none where it was not drawn."""
        return [path for path in self.report.files if path.suffix == ".png"]

    @property
    def title(self) -> str:
        """What heads the figure."""
        return self.report.title or self.entry.title

    @property
    def alt(self) -> str:
        """What the figure shows, for who cannot see it."""
        return self.report.alt or self.entry.alt


FIGURES = (
    FigureEntry(
        "pareto",
        "Quality against mean tokens",
        "Quality against mean tokens per image, with the agnostic line and the oracle.",
        takes=("published",),
    ),
    FigureEntry(
        "settle",
        "Adaptive lengths against tokenizers trained for one length",
        "Differences of the adaptive side and its controls to a tokenizer trained for its mean "
        "length, per metric, with intervals over training seeds.",
    ),
    FigureEntry(
        "baselines",
        "Tokenizers and allocators",
        "Distortion against mean tokens of all tokenizers, and what each allocator gains over the "
        "mixture that ignores the image.",
    ),
    FigureEntry(
        "ablation_bars",
        "Differences to the reference arm",
        "Differences of every arm to the reference arm, paired by seed, with intervals.",
    ),
    FigureEntry(
        "prefix_curves",
        "Quality by tokens kept",
        "Quality of each tokenizer against the number of leading tokens kept.",
    ),
    FigureEntry(
        "curve_summaries",
        "Curves in one number each",
        "BD-rate, area and hypervolume of each tokenizer's curve against the reference arm.",
    ),
    FigureEntry(
        "allocation_skill",
        "How well policies choose by image",
        "Allocation skill of each policy, and its training.",
    ),
    FigureEntry(
        "budget_histogram",
        "Shares of the budgets chosen",
        "Share of the images that got each budget, by allocation.",
    ),
    FigureEntry(
        "budget_complexity",
        "Budgets against complexity",
        "Chosen budget against the known complexity of an image and its PNG size.",
        takes=("store",),
    ),
    FigureEntry(
        "training_curves",
        "Training",
        "Entropy, weights and mean budget of policies over training, or losses of tokenizers.",
    ),
    FigureEntry(
        "candidate_heatmap",
        "Sensitivity to the candidate sets",
        "What policies come to by their set of candidate budgets, with intervals.",
    ),
    FigureEntry(
        "hypervolume_share",
        "Dynamic weightings against a sweep",
        "Hypervolume that dynamic weightings reach, as a share of the sweep's over fixed weights.",
    ),
    FigureEntry(
        "throughput",
        "Throughput of generation",
        "Images per second of adaptive and fixed lengths, by how batches are decoded.",
    ),
    FigureEntry(
        "generation",
        "Generated images",
        "Lengths of generated images beside the data's, and their distance by length.",
    ),
    FigureEntry(
        "gallery",
        "Images by number of tokens",
        "The same images decoded from more and more tokens.",
        takes=("store",),
    ),
    FigureEntry(
        "extremes",
        "Images with the fewest and the most tokens",
        "The images that an allocation gave the fewest tokens, and those that it gave the most.",
        takes=("store",),
    ),
    FigureEntry("summary", "All systems in words", "The table and the words that a run ends with."),
)
TABLES = (
    *("comparison", "ablations", "generation", "throughput"),
    *("protocol_card", "compute", "cells"),
)


def draw(entry: FigureEntry, records: list[Record], folder: Path, **given: Path | None) -> Drawn:
    """Draw one figure into `folder`; what goes wrong in it ends neither the page nor the others.

    Args:
        entry: of the catalogue.
        records: of one part of a report.
        folder: for its files.
        given: what the figure may take beside the records.

    Raises:
        UserError: what it was given, such as published results, cannot be used.
    """
    report: Callable[..., Report] = import_module(f"reports.figures.{entry.name}").report
    extra = {name: given[name] for name in entry.takes if given[name] is not None}
    try:
        return Drawn(entry, report(records, folder, **extra))
    except UserError as error:
        if "published" in extra:
            raise
        return Drawn(entry, Report(text=f"{entry.title}: not drawn, because {error}"))
    except Exception as error:  # A broken figure is reported and told by the exit code.
        words = f"{type(error).__name__}: {error}"
        return Drawn(
            entry, Report(text=f"{entry.title}: not drawn, because of {words}"), failed=True
        )


def make_table(name: str, records: list[Record]) -> Table:
    """A table of the catalogue."""
    return import_module(f"reports.tables.{name}").table(records)
