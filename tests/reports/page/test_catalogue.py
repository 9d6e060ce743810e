from importlib import import_module

import pytest

from bench.errors import UserError
from bench.records.report_plugins import Report
from reports.figures import pareto
from reports.page.catalogue import FIGURES, TABLES, draw, make_table

ENTRY = FIGURES[0]


def test_everything_listed_exists_and_is_called_once():
    names = [entry.name for entry in FIGURES]
    assert len(set(names)) == len(names)
    for entry in FIGURES:
        assert callable(import_module(f"reports.figures.{entry.name}").report)
        assert entry.title
        assert entry.alt


def test_every_table_is_named_and_titled(two_arms, complete):
    tables = [make_table(name, [complete(r) for r in two_arms]) for name in TABLES]
    assert [table.name for table in tables] == [
        *("comparison", "ablations", "generation", "throughput", "protocol", "compute", "cells")
    ]
    made = {table.name for table in tables if table.rows}
    assert made == {"comparison", "ablations", "protocol", "compute", "cells"}
    assert all(table.title and table.notes for table in tables)


def test_a_figure_without_data_says_so_in_words(tokenizer, failed, tmp_path):
    for entry in FIGURES:
        drawn = draw(entry, [failed(tokenizer())], tmp_path, store=tmp_path, published=None)
        assert not drawn.failed, drawn.report.text
        assert drawn.pictures == []
        assert drawn.report.text.strip()


def test_a_figure_that_breaks_is_told_and_ends_nothing(monkeypatch, tmp_path):
    monkeypatch.setattr(pareto, "report", lambda records, folder: 1 / 0)
    drawn = draw(ENTRY, [], tmp_path, published=None)
    assert drawn.failed
    assert "not drawn, because of ZeroDivisionError: division by zero" in drawn.report.text


def test_records_that_cannot_stand_together_are_words(monkeypatch, tmp_path):
    def refuse(records, folder):
        raise UserError("not comparable")

    monkeypatch.setattr(pareto, "report", refuse)
    drawn = draw(ENTRY, [], tmp_path, published=None)
    assert not drawn.failed
    assert "because not comparable" in drawn.report.text


def test_published_results_that_cannot_be_used_end_the_report(monkeypatch, tmp_path):
    def refuse(records, folder, *, published):
        raise UserError(f"{published}: no such file")

    monkeypatch.setattr(pareto, "report", refuse)
    with pytest.raises(UserError, match="no such file"):
        draw(ENTRY, [], tmp_path, published=tmp_path / "none.yaml")


def test_a_figures_own_title_and_alt_come_first(monkeypatch, tmp_path):
    answers = iter([Report(title="Mine", alt="Shows it"), Report()])
    monkeypatch.setattr(pareto, "report", lambda records, folder: next(answers))
    own, none = (draw(ENTRY, [], tmp_path, published=None) for _ in range(2))
    assert (own.title, own.alt) == ("Mine", "Shows it")
    assert (none.title, none.alt) == (ENTRY.title, ENTRY.alt)
