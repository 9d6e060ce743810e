"""The protocol card: everything that fixes what the values of a suite mean, and where they ran."""

from __future__ import annotations

from collections import Counter
from typing import Any

from bench.records.parts import Provenance
from reports.analysis.groups import Record, with_results
from reports.tables.declared import TableReport
from reports.tables.table import WORDS, Column, Row, Table, words

NAME, TITLE = "protocol", "Protocol card"


def table(records: list[Record]) -> Table:
    """A row per field; a column per protocol, where cells of several kinds have their own."""
    of_hash: dict[str, list[Record]] = {}
    for record in with_results(records):
        if record.protocol_hash is not None:
            of_hash.setdefault(record.protocol_hash, []).append(record)
    if not of_hash:
        return Table(NAME, TITLE, notes=("Not made: no cell has a result.",))
    cards = {name: _card(name, members) for name, members in of_hash.items()}
    fields = dict.fromkeys(field for card in cards.values() for field in card)
    columns = (
        Column("field", "field", WORDS),
        *(Column(name, f"protocol {name}", WORDS) for name in cards),
    )
    rows = []
    for field in fields:
        values = {name: words(card.get(field, "-")) for name, card in cards.items()}
        rows.append(Row({"field": words(field)} | values))
    found = Counter(record.status for record in records)
    statuses = sorted(found, key=lambda status: (status != "done", status))
    counts = ", ".join(f"{found[status]} {status}" for status in statuses)
    note = f"{len(records)} cells: {counts}; values are comparable only under equal protocols"
    return Table(NAME, TITLE, columns, tuple(rows), (note,))


def _card(name: str, records: list[Record]) -> dict[str, str]:
    made = [record.provenance for record in records]
    return {
        "hash": name,
        **{path: str(value) for path, value in _leaves(records[0].protocol.plain())},
        "cells": str(len(records)),
        "git commit": _several(_commit(one) for one in made),
        "Python": _several(one.python for one in made),
        "platform": _several(one.platform for one in made),
    }


def _commit(made: Provenance) -> str:
    commit = made.git_commit or "not known"
    return f"{commit} with changes that are not committed" if made.git_dirty else commit


def _several(values: Any) -> str:
    return ", ".join(dict.fromkeys(map(str, values)))


def _leaves(value: Any, path: str = "") -> list[tuple[str, Any]]:
    """Values by dotted path."""
    if not isinstance(value, dict) or not value:
        return [(path, "-" if value == {} else value)]
    return [
        leaf
        for name, inner in value.items()
        for leaf in _leaves(inner, f"{path}.{name}" if path else name)
    ]


REPORT = TableReport(title=TITLE, place=50, build=table)
