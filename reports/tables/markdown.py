"""A table as Markdown."""

from __future__ import annotations

from bench.records.tables import escaped
from reports.tables.table import NUMBER, Table, Value


def as_markdown(table: Table) -> str:
    """The table under its title, with its notes; what is tied with the best is bold."""
    lines = [f"### {escaped(table.title)}", ""]
    if table.rows:
        rules = ["---:" if column.kind == NUMBER else "---" for column in table.columns]
        lines += [_line([escaped(column.title) for column in table.columns]), _line(rules)]
        for section, rows in table.sections:
            if section:
                lines.append(_line([f"*{escaped(section)}*"] + [""] * (len(table.columns) - 1)))
            for row in rows:
                lines.append(_line([_value(table.shown(row, column)) for column in table.columns]))
        lines.append("")
    lines += [f"- {escaped(note)}" for note in table.notes]
    return "\n".join(lines).rstrip() + "\n"


def _value(value: Value) -> str:
    text = escaped(value.text)
    if value.verdict:
        text += f" ({value.verdict})"
    return f"**{text}**" if value.tied else text


def _line(parts: list[str]) -> str:
    return f"| {' | '.join(parts)} |"
