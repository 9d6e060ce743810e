"""`check` on the command line; the properties have tests of their own."""

import json
import sys

import pytest
import yaml
from click.testing import CliRunner

from bench.commands import cli

MODULE = """
import numpy as np

class Grey:
    def __init__(self, levels=16, name="x", device="none"):
        self.levels = levels
        assert isinstance(levels, int) and device == "cpu"

    def describe(self):
        return dict(resolution=16, max_tokens=1, codebook_size=self.levels, arrays="numpy")

    def encode(self, images):
        return (images.mean((1, 2, 3)) * self.levels).astype(int)[:, None]

    def decode(self, ids):
        return np.broadcast_to(((ids + 0.5) / self.levels)[:, :, None, None], (len(ids), 3, 16, 16))

class Leaks(Grey):
    def decode(self, ids):
        self.calls = getattr(self, "calls", 0) + 1
        return super().decode(ids) + 0.1 * (self.calls > 1)
"""


@pytest.fixture
def check(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "grey.py").write_text(MODULE)

    def check(*arguments):
        monkeypatch.setattr(sys, "argv", ["adatok-bench", "check", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        captured = capsys.readouterr()
        return end.value.code or 0, captured.out, captured.err

    return check


def suite(tmp_path, *arms, **tokenizer):
    content = {
        "suite": "s",
        "question": "?",
        "base": {
            "data": {"kind": "fluent_scenes", "resolution": 16, "train": 8, "validation": 8},
            "tokenizer": {"kind": "external", "factory": "grey.py:Grey", **tokenizer},
        },
        "arms": [{"name": "one"}, *arms],
    }
    path = tmp_path / "suite.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def test_lines_and_exit_code(check):
    code, out, err = check("grey.py:Grey", "--argument", "levels=8", "--argument", "name=y")
    assert (code, err) == (0, "")
    assert len(out.splitlines()) == 11
    assert "within 0..7" in out
    code, out, _ = check("grey.py:Leaks")
    assert code == 1
    assert [line.split()[1] for line in out.splitlines() if line.startswith("FAILED")] == [
        "repeatable"
    ]


def test_json(check):
    code, out, _ = check("grey.py:Leaks", "--json")
    assert code == 1
    found = {one["name"]: one for one in json.loads(out)}
    assert found["repeatable"]["status"] == "FAILED"
    assert found["repeatable"]["text"].startswith("decoded twice, pixels differ by up to 0.1")


def test_under_another_interpreter(check):
    code, out, _ = check("grey:Grey", "--python", sys.executable)
    assert code == 0
    assert "made anew" in out


def test_the_tokenizer_of_a_suites_arm(check, tmp_path):
    arm = {"name": "two", "set": {"tokenizer.arguments": {"levels": 4}}}
    path = suite(tmp_path, arm)
    assert "give --arm, one of one, two" in check(path)[2]
    assert "did you mean 'two'?" in check(path, "--arm", "tow")[2]
    code, out, _ = check(path, "--arm", "two")
    assert code == 0
    assert "within 0..3" in out
    assert "within 0..15" in check(suite(tmp_path))[1]


def test_images_of_a_folder(check, tmp_path):
    from PIL import Image

    (tmp_path / "images").mkdir()
    Image.new("RGB", (20, 20), (99, 99, 99)).save(tmp_path / "images" / "white.png")
    code, out, _ = check("grey.py:Grey", "--argument", "levels=2", "--images", "images")
    assert code == 1
    assert "all images have the same ids" in out
    assert "no/such" in check("grey.py:Grey", "--images", "no/such")[2]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["nothere:make"], "nothere"),
        (["grey"], "unknown factory 'grey'"),
        (["grey.py:Grey", "--argument", "levels=1.5"], "AssertionError"),
        (["grey.py:Grey", "--argument", "levels"], "--argument levels: give NAME=VALUE"),
        (["grey.py:Grey", "--argument", "levels=["], "--argument levels=[: is no YAML value"),
        (["grey.py:Grey", "--argument", "no=1"], "unexpected keyword argument 'no'"),
        (["grey.py:Grey", "--arm", "one"], "--arm: is that of a suite file"),
        (["grey.py:Grey", "--python", "/no/python"], "/no/python: cannot be run"),
        (["no.yaml"], "no.yaml"),
        (["."], "."),
    ],
)
def test_what_cannot_be_made_is_one_line(check, arguments, expected):
    code, out, err = check(*arguments)
    assert (code, out) == (2, "")
    (line,) = err.splitlines()
    assert expected in line


def test_an_arm_that_is_trained_here_is_refused(check, tmp_path, small):
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump(small))
    code, _, err = check(path, "--arm", "elastic")
    assert code == 2
    assert "is trained here; run the suite, export it, and give the folder" in err


def test_an_exported_model(check, small_run, tmp_path):
    arguments = ["export", "small:elastic", "--out", "out", "--store", str(small_run.store.root)]
    done = CliRunner().invoke(cli.cli, arguments)
    assert done.exit_code == 0, done
    code, out, _ = check("out")
    assert code in (0, 1)
    lines = {line.split()[1]: line.split()[0] for line in out.splitlines()}
    assert {lines[name] for name in ("encode", "ids", "range", "repeatable", "batch", "tail")} == {
        "ok"
    }
