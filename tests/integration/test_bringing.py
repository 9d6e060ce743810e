"""The tokenizer and the suite of docs/external.md, run as they stand there."""

import json
import re
from pathlib import Path

import pytest

GUIDE = Path(__file__).parents[2] / "docs" / "external.md"
BLOCK = re.compile(r"^`([^`\n]+)`\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"^adatok-bench (check .*)$", re.MULTILINE)
UNTRACKED = ("--tracking-uri", "sqlite:////dev/null/mlflow.db")


@pytest.fixture
def written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for path, text in BLOCK.findall(GUIDE.read_text()):
        (tmp_path / path).write_text(text)
    return tmp_path


def test_the_class_is_twenty_lines(written):
    code = [line for line in (written / "quarters.py").read_text().splitlines() if line.strip()]
    assert len(code) <= 20


def test_the_class_keeps_the_contract(written, adatok):
    (command,) = COMMAND.findall(GUIDE.read_text())
    answer = adatok(*command.split())
    assert answer.code == 0, answer
    lines = answer.out.splitlines()
    assert all(line.startswith("ok ") for line in lines)
    told = [line.split()[1] for line in lines]
    rows = re.findall(r"^\| (`.*?) \|", GUIDE.read_text().split("## Check it")[1], re.MULTILINE)
    assert sorted(told) == sorted(re.findall(r"`(\w+)`", " ".join(rows)))


def test_the_suite_runs(written, adatok):
    assert adatok("validate", "suite.yaml").code == 0
    answer = adatok("run", "suite.yaml", "--executor", "serial", *UNTRACKED)
    assert answer.code == 0, answer
    records = [
        json.loads(path.read_text()) for path in written.glob("store/records/brought/*.json")
    ]
    curve, policy = sorted(records, key=lambda record: record["arm"])
    assert [row["budget"] for row in curve["curve"]] == [1, 2, 4]
    assert 1 <= policy["metrics"]["mean_tokens"] <= 4
    assert policy["controls"]
