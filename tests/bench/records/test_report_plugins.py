from pathlib import Path

import pytest

from adatok_core.registry import Registry
from bench.errors import UserError
from bench.records import report_plugins
from bench.records.report_plugins import (
    Declaration,
    Figure,
    Report,
    check_reports,
    declared,
    render_reports,
)


def first(records, folder):
    return Report([folder / "first.txt"], f"{len(records)} records")


def second(records, folder, *, store):
    return Report(text=f"from {store}")


@pytest.fixture
def registered(monkeypatch):
    registry = Registry("report", group="no.such.group", expects=Declaration)
    registry.add("second", Figure(title="2", draw=second, takes=("store",), place=20))
    registry.add("first", Figure(title="1", draw=first, place=10))
    registry.add("broken", "no_such_module:REPORT")
    monkeypatch.setattr(report_plugins, "REPORTS", registry)
    return registry


def test_the_projects_reports_are_installed():
    check_reports(("summary", "pareto", "comparison"), where="suite.yaml")


def test_an_unknown_report_is_refused_with_the_nearest():
    with pytest.raises(UserError) as error:
        check_reports(("summary", "paretto"), where="suite.yaml")
    assert str(error.value) == (
        "suite.yaml: reports: unknown report 'paretto'; did you mean 'pareto'?"
    )


@pytest.mark.usefixtures("registered")
def test_reports_are_made_in_the_order_they_are_named(tmp_path, made_record):
    stopped = made_record(status="stopped")
    records = [made_record(), stopped, made_record()]
    made = render_reports(("second", "first"), records, tmp_path, store=Path("store"))
    assert made == [Report(text="from store"), Report([tmp_path / "first.txt"], "2 records")]
    assert render_reports((), records, tmp_path, store=tmp_path) == []


@pytest.mark.usefixtures("registered")
def test_a_package_that_is_gone_is_told(tmp_path):
    check_reports(("broken",), where="suite.yaml")
    with pytest.raises(UserError, match=r"report 'broken' .* install its package again"):
        render_reports(("broken",), [], tmp_path, store=tmp_path)


def test_a_page_has_its_own_order(registered):
    del registered._entries["broken"]
    assert list(declared(Figure)) == ["first", "second"]


def test_a_figure_knows_where_it_is_drawn():
    path, _, line = Figure(title="1", draw=first).origin.rpartition(":")
    assert Path(path).samefile(__file__)
    assert "def first" in Path(path).read_text().splitlines()[int(line) - 1]
