"""Figures and tables of one part of a report; what breaks in one ends neither page nor others."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bench.errors import UserError
from bench.records.report_plugins import Figure, Report
from bench.store.integrity import DamagedError
from reports.analysis.groups import Record


@dataclass(frozen=True)
class Drawn:
    """The outcome of a figure: files, or words on why there are none; `failed` where it broke."""

    figure: Figure
    report: Report
    failed: bool = False

    @property
    def pictures(self) -> list[Path]:
        """The PNGs; none where it was not drawn."""
        return [path for path in self.report.files if path.suffix == ".png"]

    @property
    def title(self) -> str:
        """Heading of the figure."""
        return self.report.title or self.figure.title

    @property
    def alt(self) -> str:
        """Description of the figure for who cannot see it."""
        return self.report.alt or self.figure.alt


def draw(
    figure: Figure, records: list[Record], folder: Path, *, store: Path, published: Path | None
) -> Drawn:
    """Draw one figure into `folder`; see `Figure.make`.

    Raises:
        UserError: the published results that it was given cannot be used, or what it is drawn from
            is damaged.
    """
    try:
        return Drawn(figure, figure.make(records, folder, store=store, published=published))
    except UserError as error:
        given = published is not None and "published" in figure.takes
        if given or isinstance(error, DamagedError):
            raise
        return Drawn(figure, Report(text=f"{figure.title}: not drawn, because {error}"))
    except Exception as error:  # A broken figure is reported and told by the exit code.
        words = f"{type(error).__name__}: {error}"
        text = f"{figure.title}: not drawn, because of {words}"
        return Drawn(figure, Report(text=text), failed=True)
