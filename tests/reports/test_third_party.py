"""A figure and a table of another package, found as an installed package is."""

import json
import os
import shutil
import subprocess
import sys

import pytest
import yaml

MODULE = '''
"""Cells, counted by another package."""

from matplotlib.figure import Figure as Canvas

from bench.records.report_plugins import Figure, Report
from reports.tables.declared import TableReport
from reports.tables.table import Column, Row, Table, number


def report(records, folder):
    folder.mkdir(parents=True, exist_ok=True)
    Canvas(figsize=(2, 1)).savefig(folder / "theirs.png")
    return Report([folder / "theirs.png"], f"theirs: {len(records)} cells")


def table(records):
    return Table("counts", "Counts", (Column("cells", "cells"),),
                 (Row({"cells": number(len(records))}),))


FIGURE = Figure(title="Their figure", alt="How many cells there are.", draw=report)
TABLE = TableReport(title="Counts", build=table)
'''
ENTRY_POINTS = """
[adatok_bench.reports]
theirs = their_package:FIGURE
their_counts = their_package:TABLE
"""


@pytest.fixture
def command(tmp_path):
    """`command(*arguments)`: what `adatok-bench` prints where the package is installed."""
    about = tmp_path / "site" / "their_package-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: their-package\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(ENTRY_POINTS)
    (tmp_path / "site" / "their_package.py").write_text(MODULE)

    def command(*arguments):
        found = subprocess.run(
            [sys.executable, "-c", "from bench.commands.cli import main; main()", *arguments],
            env={**os.environ, "PYTHONPATH": str(tmp_path / "site")},
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert "Traceback" not in found.stderr, found.stderr
        return found.stdout

    return command


def test_they_are_listed(command, tmp_path):
    entries = {one["name"]: one for one in json.loads(command("list", "reports", "--json"))}
    assert entries["theirs"]["about"] == "Cells, counted by another package"
    assert entries["theirs"]["defined"].startswith(f"{tmp_path}/site/their_package.py:")
    assert "their_counts" in entries


def test_they_reach_the_page(command, two_arms, write_records, tmp_path):
    command("report", "made", "--store", write_records(two_arms), "--out", tmp_path / "out")
    page = (tmp_path / "out" / "index.html").read_text()
    assert "Their figure" in page
    assert "theirs: 6 cells" in page
    assert (tmp_path / "out" / "tables" / "made" / "counts.csv").is_file()


def test_a_suite_may_name_them(command, small, small_run, tmp_path):
    """Of a finished run only the reports are left to make."""
    store = shutil.copytree(small_run.store.root, tmp_path / "store", symlinks=True)
    suite = tmp_path / "suite.yaml"
    suite.write_text(yaml.safe_dump(small | {"reports": ["theirs", "their_counts"]}))
    said = command("run", suite, "--store", store, "--executor", "serial")
    assert "theirs: 6 cells" in said
    folder = store / "reports" / small["suite"]
    assert (folder / "theirs.png").is_file()
    assert (folder / "tables" / "counts.md").is_file()
