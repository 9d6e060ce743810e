"""A table as LaTeX, in the style of booktabs, safe for whatever a suite calls its arms."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

import pandas as pd

from reports.tables.table import NUMBER, Table, Value

LONGEST = 45  # Rows that fit a page; a longer table breaks over pages.
_SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"{\char34}",
    "[": "{[}",  # Else an optional argument of the \\ before it.
    "]": "{]}",
    **{mark: f"\\{mark}" for mark in "&%$#_{}"},
    "±": r"\ensuremath{\pm}",
    "\u00d7": r"\ensuremath{\times}",
    "\u2212": r"\ensuremath{-}",
    "≈": r"\ensuremath{\approx}",
    "≤": r"\ensuremath{\leq}",
    "≥": r"\ensuremath{\geq}",
    "→": r"\ensuremath{\rightarrow}",
    "↑": r"\ensuremath{\uparrow}",
    "↓": r"\ensuremath{\downarrow}",
    "Δ": r"\ensuremath{\Delta}",
    "∞": r"\ensuremath{\infty}",
    "\u2013": "--",
    "—": "---",
    "…": r"\ldots{}",
    "\u2018": "`",
    "\u2019": "'",
    "\u201c": "``",
    "\u201d": "''",
}
_GREEK = {"lamda": r"\lambda", "omicron": "o"}  # Not called so in LaTeX.


def as_latex(table: Table) -> str:
    """The table as an environment to be `\\input`; its notes and needed packages as comments.

    Needs `booktabs`; `longtable` as well where the table is longer than a page.
    """
    comments = [table.title, *table.notes]
    lines = [f"% {' '.join(comment.split())}" for comment in comments]
    if not table.rows:
        return "\n".join(lines) + "\n"
    long = len(table.rows) > LONGEST
    packages = r"\usepackage{booktabs,longtable}" if long else r"\usepackage{booktabs}"
    layout = "".join("r" if column.kind == NUMBER else "l" for column in table.columns)
    heads = [f"\\textbf{{{escaped(column.title)}}}" for column in table.columns]
    rows = [
        [_value(table.shown(row, column)) for column in table.columns]
        for _, section in table.sections
        for row in section
    ]
    text = (
        pd.DataFrame(rows, columns=heads)
        .style.hide(axis="index")
        .to_latex(
            column_format=f"@{{}}{layout}@{{}}",
            hrules=True,
            environment="longtable" if long else None,
        )
    )
    framed = text.splitlines()
    first = len(framed) - len(rows) - (1 if long else 2)  # After the rows come their ends.
    body = _with_sections(table, framed[first:])
    return "\n".join([*lines, f"% needs {packages}", *framed[:first], *body, ""])


def _with_sections(table: Table, body: Sequence[str]) -> list[str]:
    """The lines of the rows, and what follows them, with each section's name above its own."""
    lines, at = [], 0
    for section, rows in table.sections:
        if at:
            lines.append(r"\midrule")
        if section:
            name = f"\\emph{{{escaped(section)}}}"
            lines.append(f"\\multicolumn{{{len(table.columns)}}}{{@{{}}l}}{{{name}}} \\\\")
        lines += body[at : at + len(rows)]
        at += len(rows)
    return [*lines, *body[at:]]


def escaped(text: str) -> str:
    """Text that LaTeX sets as it is; a sign that it lacks by default is named by its number."""
    return "".join(map(_sign, " ".join(text.split())))


def _sign(sign: str) -> str:
    if sign in _SPECIAL:
        return _SPECIAL[sign]
    if sign.isascii() and sign.isprintable():
        return sign
    name = unicodedata.name(sign, "")
    if name.startswith("GREEK SMALL LETTER ") and name.count(" ") == 3:
        letter = name.split()[-1].lower()
        command = _GREEK.get(letter, "\\" + letter)
        return f"\\ensuremath{{{command}}}"
    if name.startswith("LATIN ") and ord(sign) < 0x180:  # Those that the kernel declares.
        return sign
    return f"{{[}}U+{ord(sign):04X}{{]}}"


def _value(value: Value) -> str:
    text = escaped(value.text)
    if value.verdict:
        text += f" ({value.verdict})"
    return f"\\textbf{{{text}}}" if value.tied else text
