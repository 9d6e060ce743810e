"""Reports: the figures and tables that records can be made into. They live above the harness.

One registry, `REPORTS`, holds all that suites may name and all that a page shows. A report is
declared once, at the end of its module, and found by the entry-point group `adatok_bench.reports`.
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from adatok_core.registry import Registry, RegistryError, suggestion
from bench.errors import UserError
from bench.records.record import Record


@dataclass(frozen=True)
class Report:
    """The outcome of a report: files, and text for stdout.

    `title` heads its figure on a page, `alt` says what the figure shows with its main number, for
    who cannot see it; both are empty where there is no figure.
    """

    files: list[Path] = field(default_factory=list)
    text: str = ""
    title: str = ""
    alt: str = ""


@dataclass(frozen=True, kw_only=True)
class Declaration(ABC):
    """A report as its module declares it: `REPORT = Figure(...)` or `TableReport(...)`.

    `place` orders a page: small numbers come first, then names. Cells that were stopped early are
    in no figure and no table, but for those `with_stopped`.
    """

    title: str
    place: int = 1000
    with_stopped: bool = False

    def shown(self, records: Iterable[Record]) -> list[Record]:
        """The records that it is made of: without cells stopped early, unless it asks for them."""
        return [record for record in records if self.with_stopped or not record.stopped]

    @property
    @abstractmethod
    def function(self) -> Callable[..., Any]:
        """The function that makes it; its module's docstring says what the report is about."""

    @abstractmethod
    def make(
        self, records: list[Record], folder: Path, *, store: Path, published: Path | None = None
    ) -> Report:
        """Write the report's files to `folder`.

        Args:
            records: of the cells of one suite, with results or without.
            folder: for the files.
            store: folder that paths in the records start from.
            published: results of others, a YAML; see `reports.analysis.published`.

        Raises:
            UserError: the records cannot stand in one report, as where their protocols differ.
        """

    @property
    def about(self) -> str:
        """The docstring of its module, for a listing."""
        return inspect.getdoc(inspect.getmodule(self.function)) or self.title

    @property
    def origin(self) -> str:
        """`file:line` of the function that makes it."""
        code = inspect.unwrap(self.function).__code__
        return f"{code.co_filename}:{code.co_firstlineno}"


@dataclass(frozen=True, kw_only=True)
class Figure(Declaration):
    """A figure, or words: `draw(records, folder)` gives a `Report`.

    `alt` stands in where the report does not say what it shows. `takes` names what `draw` is given
    by keyword beside the records: `store`, `published`, see `make`. `photographs` keep all their
    colours on a page.
    """

    draw: Callable[..., Report]
    alt: str = ""
    takes: tuple[str, ...] = ()
    photographs: bool = False

    @property
    def function(self) -> Callable[..., Report]:
        """`draw`."""
        return self.draw

    def make(
        self, records: list[Record], folder: Path, *, store: Path, published: Path | None = None
    ) -> Report:
        """Draw the figure, or say in words why there is none; see `Declaration.make`."""
        given = {"store": store, "published": published}
        return self.draw(records, folder, **{name: given[name] for name in self.takes})


REPORTS: Registry[Declaration] = Registry(
    "report", group="adatok_bench.reports", expects=Declaration
)
Kind = TypeVar("Kind", bound=Declaration)


@contextmanager
def _refusals_told() -> Iterator[None]:
    try:
        yield
    except RegistryError as error:
        raise UserError(str(error)) from None


@_refusals_told()
def declared(kind: type[Kind]) -> dict[str, Kind]:
    """All reports of a kind by name, in the order of a page.

    Raises:
        UserError: two packages give one name, or the package of a report cannot be used.
    """
    mine = {name: one for name, one in REPORTS.items() if isinstance(one, kind)}
    return dict(sorted(mine.items(), key=lambda item: (item[1].place, item[0])))


@_refusals_told()
def check_reports(names: tuple[str, ...], *, where: str) -> None:
    """Refuse names of reports that are not installed; nothing is imported.

    Raises:
        UserError: with the nearest valid name; or two packages give one name.
    """
    for name in names:
        if name not in REPORTS:
            near = suggestion(name, sorted(REPORTS))
            raise UserError(f"{where}: reports: unknown report '{name}'{near}")


@_refusals_told()
def render_reports(
    names: tuple[str, ...], records: list[Record], folder: Path, *, store: Path
) -> list[Report]:
    """Make the named reports from the records, in order; see `Declaration.make`."""
    return [REPORTS[n].make(REPORTS[n].shown(records), folder, store=store) for n in names]
