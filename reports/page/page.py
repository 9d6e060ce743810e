"""The page: chapters put into templates; styles and script inlined; the network forbidden."""

from __future__ import annotations

import base64
import functools
import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from reports.analysis.suites import Part
from reports.page.cells import cell_id, page_cells
from reports.page.drawing import Drawn
from reports.page.output import SIGN
from reports.page.pictures import figure_uri, photograph_uri
from reports.page.plot import HEIGHT, LEFT, SHAPES, WIDTH, make_plot
from reports.page.points import Point, lines, points, shown_metrics
from reports.page.verdicts import verdict_lines
from reports.paper.style import PALETTE
from reports.tables.table import NUMBER, Table, Value

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Chapter:
    """The figures and tables of one part of a report."""

    part: Part
    figures: tuple[Drawn, ...]
    tables: tuple[Table, ...]


def page_text(chapters: Sequence[Chapter], store: Path) -> str:
    """The page's HTML. Deterministic: the same chapters give the same text."""
    parts = [chapter.part for chapter in chapters]
    shown = [_chapter(chapter, place, store) for place, chapter in enumerate(chapters)]
    colors = "\n".join(f".c{i} {{ --series: {color}; }}" for i, color in enumerate(PALETTE))
    style = f"{(HERE / 'page.css').read_text('utf-8')}\n{colors}\n"
    script = (HERE / "page.js").read_text("utf-8")
    plots = [each["plot_points"] for each in shown]
    template = _environment().get_template("page.html")
    return template.render(
        sign=SIGN,
        policy=_security_policy(style, script),
        style=style,
        script=script,
        data={"cells": page_cells(parts, store), "plots": plots},
        chapters=shown,
        protocols=list(dict.fromkeys(part.protocol_hash for part in parts)),
        shapes=SHAPES,
        frame={"width": WIDTH, "height": HEIGHT, "left": LEFT},
    )


@functools.cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["in_two"] = _split_interval
    return environment


def _security_policy(style: str, script: str) -> str:
    """Nothing from outside, and no style or script but the page's own two."""
    digests = [hashlib.sha256(text.encode()).digest() for text in (style, script)]
    own = [f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests]
    return (
        f"default-src 'none'; img-src data:; style-src {own[0]}; script-src {own[1]}; "
        "base-uri 'none'; form-action 'none'"
    )


def _chapter(chapter: Chapter, place: int, store: Path) -> dict[str, Any]:
    part = chapter.part
    found = points(part.records)
    metrics = shown_metrics(found)
    plot = make_plot(found, lines(part.records, metrics), metrics)
    drawn = [one for one in chapter.figures if one.pictures]
    return {
        "id": f"suite-{place}",
        "place": place,
        "part": part,
        "verdict": verdict_lines(part.records, store),
        "facts": _facts(part),
        "cells": " ".join(cell_id(part, r.cell_key) for r in part.records),
        "plot": plot if plot.panels else None,
        "plot_points": _plot_points(part, found),
        "broken": [one.report.text for one in chapter.figures if one.failed],
        "figures": [_figure(one, part) for one in drawn],
        "texts": [one for one in chapter.figures if not one.pictures and one.report.files],
        "missing": [
            *(
                (one.title, one.report.text.strip().split("\n\n")[0])
                for one in chapter.figures
                if not one.pictures and not one.report.files and not one.failed
            ),
            *((table.title, " ".join(table.notes)) for table in chapter.tables if not table.rows),
        ],
        "tables": [_table(table, part) for table in chapter.tables if table.rows],
    }


def _facts(part: Part) -> list[tuple[str, str]]:
    """Names and values of the strip under a suite's name."""
    counts = Counter(record.status for record in part.records)
    made = [record.provenance for record in part.done]
    commits = dict.fromkeys(
        (one.git_commit or "not known")[:12] + " (dirty)" * bool(one.git_dirty) for one in made
    )
    facts = [("cells", ", ".join(f"{count} {status}" for status, count in counts.items()))]
    if part.done:
        facts += [("protocol", part.protocol_hash or "none"), ("commit", ", ".join(commits))]
    return facts


def _plot_points(part: Part, found: Sequence[Point]) -> list[dict[str, Any]]:
    return [
        {
            "cell": cell_id(part, point.cell),
            "name": point.name,
            "tokenizer": point.tokenizer,
            "kind": point.kind,
            "tokens": f"{point.tokens:.4g}",
            "values": {name: f"{value:.4g}" for name, value in point.values.items()},
            "intervals": point.intervals,
        }
        for point in found
    ]


def _figure(one: Drawn, part: Part) -> dict[str, Any]:
    embed = photograph_uri if one.figure.photographs else figure_uri
    files = sorted(path.name for path in one.report.files)
    return {
        "title": one.title,
        "alt": one.alt,
        "images": [embed(path) for path in one.pictures],
        "text": one.report.text.strip(),
        "files": [f"figures/{part.name}/{name}" for name in files],
    }


def _table(table: Table, part: Part) -> dict[str, Any]:
    return {
        "table": table,
        "number": NUMBER,
        "compared": any(column.compared for column in table.columns),
        "cells_of": lambda row: " ".join(cell_id(part, key) for key in row.cells),
        "file": f"tables/{part.name}/{table.name}",
    }


def _split_interval(value: Value) -> tuple[str, str]:
    """A number, and its interval with what follows it."""
    if value.interval is None or " [" not in value.text:
        return value.text, ""
    mean, rest = value.text.split(" [", 1)
    return mean, f"[{rest}"
