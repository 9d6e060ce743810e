import subprocess
import sys

import pytest
from click.testing import CliRunner

from bench.errors import UserError
from bench.records.report_plugins import Figure
from reports.page import building
from reports.page.command import report

NO_TORCH = """
import sys
from reports.page.command import report
report.main(sys.argv[1:], standalone_mode=False)
heavy = {"torch", "ray", "mlflow"} & set(sys.modules)
sys.exit(f"imported: {heavy}" if heavy else 0)
"""


def run(*arguments):
    found = CliRunner().invoke(report, list(map(str, arguments)))
    if found.exception is not None and not isinstance(found.exception, SystemExit):
        raise found.exception
    return found


@pytest.fixture
def store(write_records, two_arms):
    return write_records(two_arms)


def test_a_report_is_made_of_records_without_torch(store, tmp_path):
    command = [sys.executable, "-c", NO_TORCH, "made", "--store", store, "--out", tmp_path / "out"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "made: 6 cells\n")
    assert done.stdout == f"report  {tmp_path / 'out' / 'index.html'}\n"


def test_options_reach_the_report(store, tmp_path, monkeypatch):
    given = {}

    def build(parts, out, **options):
        given.update(options, out=out, parts=[part.name for part in parts])
        return building.Built(out / "index.html", ())

    monkeypatch.setattr(building, "build_report", build)
    run("made", "--store", store, "--out", tmp_path, "--width", "column", "--published", "p.yaml")
    assert (given["parts"], given["out"], given["store"]) == (["made"], tmp_path, store)
    assert (given["width"], str(given["published"])) == ("column", "p.yaml")


def test_a_broken_figure_exits_with_1_and_the_rest_is_there(store, tmp_path, monkeypatch):
    broken = Figure(title="Quality", draw=lambda records, folder: 1 / 0)
    monkeypatch.setattr(building, "declared", lambda kind: {"q": broken} if kind is Figure else {})
    found = run("made", "--store", store, "--out", tmp_path / "out")
    assert found.exit_code == 1
    assert "made: Quality: not drawn, because of ZeroDivisionError" in found.stderr
    page = (tmp_path / "out" / "index.html").read_text()
    assert "<strong>A figure broke.</strong> Quality: not drawn" in page


def test_what_it_is_pointed_at_is_checked_before_anything_is_written(store, tmp_path):
    with pytest.raises(UserError, match="suite 'mad' has no records"):
        run("mad", "--store", store, "--out", tmp_path / "out")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes").write_text("x")
    with pytest.raises(UserError, match="is no report"):
        run("made", "--store", store, "--out", tmp_path / "mine")
    assert not (tmp_path / "out").exists()


def test_help_has_examples():
    text = run("--help").output
    assert "adatok-bench report quickstart --out report" in text
    assert max(map(len, text.splitlines())) <= 80
