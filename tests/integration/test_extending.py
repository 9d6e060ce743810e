"""The package of docs/extending.md, installed as it stands there."""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

GUIDE = Path(__file__).parents[2] / "docs" / "extending.md"
BLOCK = re.compile(r"^`([^`\n]+)`\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)
UNTRACKED = ("--tracking-uri", "sqlite:////dev/null/mlflow.db")


@pytest.fixture
def written(tmp_path):
    """The folder with the guide's files, and the package's metadata as pip would write it."""
    files = dict(BLOCK.findall(GUIDE.read_text()))
    (tmp_path / "mine").mkdir()
    for path, text in files.items():
        (tmp_path / path).write_text(text)
    project = tomllib.loads(files["pyproject.toml"])["project"]
    about = tmp_path / f"{project['name']}-{project['version']}.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    lines = [
        line
        for group, points in project["entry-points"].items()
        for line in (f"[{group}]", *(f"{name} = {value}" for name, value in points.items()))
    ]
    (about / "entry_points.txt").write_text("\n".join(lines) + "\n")
    return tmp_path


@pytest.fixture
def command(written):
    def command(*arguments):
        done = subprocess.run(
            [Path(sys.executable).with_name("adatok-bench"), *arguments],
            env={**os.environ, "PYTHONPATH": str(written), "OMP_NUM_THREADS": "1"},
            cwd=written,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return command


def test_examples_are_short(written):
    for path in sorted((written / "mine").iterdir()):
        code = [line for line in path.read_text().splitlines() if line.strip()]
        assert 10 <= len(code) <= 32, path.name


def test_the_package_reaches_record_results_page_and_list(command, written):
    said = command("run", "suite.yaml", "--executor", "serial", *UNTRACKED)
    assert "mae_by_tokens: drawn" in said
    records = [json.loads(path.read_text()) for path in written.glob("store/records/mine/*.json")]
    curve, bright = (
        next(r for r in records if r["arm"] == arm) for arm in ("curve", "by brightness")
    )
    assert all(0 < row["mae"] < 1 for row in curve["curve"])
    assert {"mae", "fd_colours", "kid_colours", "brightness"} <= curve["metrics"].keys()
    assert curve["protocol"]["extractors"]["colours"]["layer"] == "mean colours"
    assert bright["allocator"] == "bright"
    assert 1 < bright["metrics"]["mean_tokens"] < 2
    header = command("results", "mine", "--format", "csv").splitlines()[0]
    assert {"mae", "fd_colours"} <= {*header.split(",")}
    command("report", "mine", "--out", "page")
    assert "Error by tokens" in (written / "page" / "index.html").read_text()
    listed = {(one["kind"], one["name"]) for one in json.loads(command("list", "--json"))}
    assert {
        *(("metrics", "mae"), ("extractors", "colours"), ("allocators", "bright")),
        *(("stages", "brightness"), ("reports", "mae_by_tokens")),
    } <= listed
