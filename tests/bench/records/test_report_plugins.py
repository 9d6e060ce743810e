from importlib.metadata import EntryPoint, EntryPoints

import pytest

from bench.errors import UserError
from bench.records import report_plugins
from bench.records.report_plugins import Report, check_reports, render_reports


def first(records, folder):
    return Report([folder / "first.txt"], f"{len(records)} records")


def second(records, folder):
    return Report(text="second")


@pytest.fixture
def installed(monkeypatch):
    points = [
        EntryPoint(name=function.__name__, value=f"ours:{function.__name__}", group="x")
        for function in (first, second)
    ]
    functions = {"first": first, "second": second}
    monkeypatch.setattr(EntryPoint, "load", lambda point: functions[point.name])
    monkeypatch.setattr(report_plugins, "entry_points", lambda group: EntryPoints(points))


def test_the_projects_reports_are_installed():
    check_reports(("summary", "pareto"), where="suite.yaml")


def test_an_unknown_report_is_refused_with_the_nearest():
    with pytest.raises(UserError) as error:
        check_reports(("summary", "paretto"), where="suite.yaml")
    assert str(error.value) == (
        "suite.yaml: reports: unknown report 'paretto'; did you mean 'pareto'?"
    )


@pytest.mark.usefixtures("installed")
def test_reports_are_made_in_the_order_they_are_named(tmp_path):
    made = render_reports(("second", "first"), [{}, {}], tmp_path)
    assert made == [Report(text="second"), Report([tmp_path / "first.txt"], "2 records")]
    assert render_reports((), [{}], tmp_path) == []
