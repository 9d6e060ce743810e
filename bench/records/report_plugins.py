"""Reports that a suite may name. They live above the harness and are found by entry point.

A report is a function `(records, folder) -> Report` under the entry-point group
`adatok_bench.reports`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from adatok_core.registry import Registry
from bench.errors import UserError, suggestion

GROUP = "adatok_bench.reports"
REPORTS: Registry[Any] = Registry("report", group=GROUP)


@dataclass(frozen=True)
class Report:
    """What a report made: files, and text for stdout.

    `title` heads its figure on a page, `alt` says what the figure shows with its main number, for
    who cannot see it; both are empty where there is no figure.
    """

    files: list[Path] = field(default_factory=list)
    text: str = ""
    title: str = ""
    alt: str = ""


ReportFunction = Callable[[list[dict[str, Any]], Path], Report]


def check_reports(names: tuple[str, ...], *, where: str) -> None:
    """Refuse names of reports that are not installed.

    Raises:
        UserError: with the nearest valid name.
    """
    valid = sorted(entry_points(group=GROUP).names)
    for name in names:
        if name not in valid:
            raise UserError(f"{where}: reports: unknown report '{name}'{suggestion(name, valid)}")


def render_reports(
    names: tuple[str, ...], records: list[dict[str, Any]], folder: Path
) -> list[Report]:
    """Make the named reports from the records, in order."""
    functions = {point.name: point for point in entry_points(group=GROUP)}
    return [functions[name].load()(records, folder) for name in names]
