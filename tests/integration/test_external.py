"""Tokenizers of others through the command line: what is wrong, found early, told in one line."""

import json

import pytest

from bench.external import adapter

UNTRACKED = ("--tracking-uri", "sqlite:////dev/null/mlflow.db")
GOOD = '''
import numpy as np

class Quarters:
    """Mean grey of the quarters, in `levels` steps."""

    def __init__(self, levels=16, weights=None):
        self.levels = levels
        if weights is not None:
            open(weights).close()

    def describe(self):
        return dict(
            resolution=32, max_tokens=4, codebook_size=self.levels, nested=True, arrays="numpy"
        )

    def encode(self, images):
        grey = images.reshape(len(images), 3, 2, 16, 2, 16).mean((1, 3, 5)).reshape(-1, 4)
        return np.minimum((grey * self.levels).astype(int), self.levels - 1), grey

    def decode(self, ids):
        grey = np.full((len(ids), 4), 0.5)
        grey[:, : ids.shape[1]] = (ids + 0.5) / self.levels
        return grey.reshape(-1, 1, 2, 2).repeat(3, 1).repeat(16, 2).repeat(16, 3)
'''
SUITE = {
    "suite": "foreign",
    "question": "Does it stand beside ours?",
    "base": {
        "data": {"kind": "fluent_scenes", "resolution": 32, "train": 16, "validation": 24},
        "tokenizer": {"kind": "external", "factory": "quarters.py:Quarters", "budgets": [1, 4]},
        "bank": {"extractor_resolution": 32, "batch": 8, "shard": 16},
    },
    "arms": [{"name": "curve"}],
}


@pytest.fixture
def suite(tmp_path, monkeypatch, write_suite):
    """`suite(code, *arms)`: a suite's file, beside a module with this code after `Quarters`."""
    monkeypatch.chdir(tmp_path)

    def suite(code="", *arms, **tokenizer):
        (tmp_path / "quarters.py").write_text(GOOD + code)
        content = json.loads(json.dumps(SUITE))
        content["base"]["tokenizer"] |= tokenizer
        content["arms"] += arms
        return write_suite(content)

    return suite


def changed(method):
    return f"\nclass Wrong(Quarters):\n    {method}\n"


def one_line(answer, code):
    assert answer.code == code, answer
    assert answer.out == ""
    (line,) = answer.err.strip().splitlines()
    return line


@pytest.mark.parametrize(
    ("code", "factory", "expected"),
    [
        ("", "nothere:make", "no module 'nothere'"),
        ("", "quarters.py:Halves", "no attribute 'Halves'"),
        (changed("def __init__(self): exit(3)"), "quarters.py:Wrong", "SystemExit: 3"),
        (changed("def describe(self): pass"), "quarters.py:Wrong", "cannot describe itself"),
        (
            changed("def describe(self): return super().describe() | {'resolution': 64}"),
            "quarters.py:Wrong",
            "data.resolution: the tokenizer is for images of 64 px, not 32; set it to 64",
        ),
        (
            changed("def describe(self): return super().describe() | {'max_tokens': 2}"),
            "quarters.py:Wrong",
            "budgets: 4 is not among those it has: 1..2",
        ),
    ],
)
def test_a_wrong_factory_is_found_before_anything_is_computed(
    suite, adatok, tmp_path, code, factory, expected
):
    path = suite(code, factory=factory)
    assert expected in one_line(adatok("validate", path), 2)
    answer = adatok("run", path, "--executor", "serial", *UNTRACKED)
    assert answer.code == 2, answer
    assert expected in answer.err.strip().splitlines()[-1]
    assert "to compute" not in answer.err
    assert not list(tmp_path.glob("store/artifacts/*"))
    assert not list(tmp_path.glob("store/records/*/*.json"))


def test_nonsense_stops_a_run_that_goes_on_once_it_is_mended(suite, adatok, tmp_path, monkeypatch):
    wrong = changed("def decode(self, ids): return super().decode(ids)[:, :, :-1]")
    path = suite(wrong, factory="quarters.py:Wrong")
    answer = adatok("run", path, "--executor", "serial", *UNTRACKED)
    assert answer.code == 2, answer
    last = answer.err.strip().splitlines()[-1]
    assert last.startswith(
        "error: tokenizer quarters.py:Wrong: decode gives an array [8, 3, 31, 32]"
    )
    makes = "def __init__(self): super().__init__(16 // int(__import__('os').environ['N']))"
    monkeypatch.setenv("N", "1")
    suite(changed(makes), factory="quarters.py:Wrong")
    assert adatok("run", path, "--executor", "serial", *UNTRACKED).code == 0
    (record,) = tmp_path.glob("store/records/foreign/*.json")
    assert [row["budget"] for row in json.loads(record.read_text())["curve"]] == [1, 4]
    # What the store has seen is not made again, by a run that computes nothing.
    monkeypatch.setenv("N", "0")
    adapter._LAST.clear()
    assert "ZeroDivisionError" in one_line(adatok("validate", path), 2)
    again = adatok("run", path, "--executor", "serial", *UNTRACKED)
    assert (again.code, "to compute" in again.err) == (0, False)


def test_missing_weights_fail_their_cell_and_no_other(suite, adatok, tmp_path):
    arm = {"name": "missing", "set": {"tokenizer.arguments": {"weights": "/no/weights.pth"}}}
    path = suite("", arm)
    assert "/no/weights.pth" in one_line(adatok("validate", path), 2)
    answer = adatok("run", path, "--executor", "serial", *UNTRACKED)
    assert answer.code == 1, answer
    last = answer.err.strip().splitlines()[-1]
    assert last.startswith("failed: missing: ")
    assert "FileNotFoundError" in last
    assert "/no/weights.pth" in last
    statuses = {
        record["arm"]: record["status"]
        for record in map(
            json.loads, (p.read_text() for p in tmp_path.glob("store/records/*/*.json"))
        )
    }
    assert statuses == {"curve": "done", "missing": "failed"}
