import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.commands import cli


@dataclass(frozen=True)
class Answer:
    code: int
    out: str
    err: str


@pytest.fixture
def adatok(capsys, monkeypatch):
    """The command line in this process; `columns` makes stdout a terminal of that width."""

    def invoke(*arguments, columns=None):
        monkeypatch.setattr(sys, "argv", ["adatok-bench", *map(str, arguments)])
        if columns is not None:
            size = os.terminal_size((columns, 24))
            monkeypatch.setattr(
                "bench.commands.support.shared.shutil.get_terminal_size", lambda: size
            )
            monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
        code = 0
        try:
            cli.main()
        except SystemExit as stop:
            code = stop.code or 0
        captured = capsys.readouterr()
        return Answer(code, captured.out, captured.err)

    return invoke


PYTHON = Path(__file__).parents[3] / "docs" / "python.md"


@pytest.fixture(scope="session")
def blocks(tmp_path_factory):
    """The tokenizer of docs/python.md, as it stands there."""
    (code,) = (
        block
        for block in re.findall(r"^```python\n(.*?)^```$", PYTHON.read_text(), re.M | re.S)
        if "class Blocks" in block
    )
    path = tmp_path_factory.mktemp("blocks") / "my_tok.py"
    path.write_text(code)
    return path


@pytest.fixture(scope="session")
def photos(tmp_path_factory):
    """A folder of 8 images in 2 classes, of which the first three are `a/0.png`, `a/2.png` ..."""
    folder = tmp_path_factory.mktemp("pictures") / "photos"
    rng = np.random.default_rng(0)
    for number in range(8):
        coarse = Image.fromarray(rng.integers(0, 255, (4, 4, 3), np.uint8))
        place = folder / "ab"[number % 2] / f"{number}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        coarse.resize((32, 32)).save(place)
    return folder


@pytest.fixture(scope="session")
def external(blocks):
    """The content of a suite with that tokenizer: its curve, and a policy on it."""
    return {
        "suite": "external",
        "question": "Does the tokenizer of someone else do what ours do?",
        "base": {
            "data": {"kind": "fluent_scenes", "resolution": 32, "train": 24, "validation": 12},
            "tokenizer": {
                "kind": "external",
                "factory": f"{blocks}:Blocks",
                "arguments": {"levels": 4},
                "budgets": [2, 16],
            },
            "bank": {"extractor_resolution": 32, "batch": 8, "policy_images": 20},
        },
        "arms": [
            {"name": "curve"},
            {
                "name": "policy",
                "set": {
                    "policy": {"candidates": [2, 16], "steps": 10, "batch": 8},
                    "policy.weighting": {"kind": "constraint", "mean_budget": 9},
                },
            },
        ],
    }


@pytest.fixture(scope="session")
def external_run(finish, external):
    return finish(external)
