"""`bank` on the command line, and the five lines of docs/python.md."""

import contextlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from bench.commands.support.tokenizers import arguments_of
from bench.errors import UserError

PYTHON = Path(__file__).parents[4] / "docs" / "python.md"


@pytest.fixture(scope="session")
def documented(blocks, photos, tmp_path_factory):
    """The folder in which the lines of the document ran, with their store, and what they said."""
    here = tmp_path_factory.mktemp("documented")
    shutil.copy(blocks, here)
    shutil.copytree(photos, here / "photos")
    code = re.findall(r"^```python\n(.*?)^```$", PYTHON.read_text(), re.M | re.S)[0]
    assert len([line for line in code.splitlines() if line]) == 5
    said = io.StringIO()
    with contextlib.chdir(here), contextlib.redirect_stdout(said):
        exec(code, {})
    return here, said.getvalue()


@pytest.fixture
def there(documented, tmp_path, monkeypatch):
    """A copy of that folder, which we are in."""
    shutil.copytree(documented[0], tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


BANK = ("bank", "my_tok.py:Blocks", "photos", "--argument", "levels=4")


def expected_mse(path, budget):
    pixels = np.asarray(Image.open(path), np.float64).transpose(2, 0, 1) / 255
    means = pixels.reshape(3, 4, 8, 4, 8).mean((2, 4)).reshape(3, 16)
    known = (np.minimum((means * 4).astype(int), 3) + 0.5) / 4
    known[:, budget:] = 0.5
    decoded = np.rint(known * 255) / 255
    return np.mean(
        (pixels - decoded.reshape(3, 4, 1, 4, 1).repeat(8, 2).repeat(8, 4).reshape(3, 32, 32)) ** 2
    )


def test_the_lines_of_the_document_do_what_they_say(documented):
    _, said = documented
    assert re.search(r"^\d\s+16\s+96\.", said, re.M)  # 16 tokens of 6 bits, and which budget it was
    assert re.search(r"^a\s+0\.\d+", said, re.M)
    assert said.rstrip().endswith("(8, 16)")


def test_the_curve_is_that_of_the_images(adatok, there):
    answer = adatok(*BANK, "--budgets", "2,16", "--json")
    assert answer.code == 0, answer.err
    assert "to compute" not in answer.err  # What Python has made is not made again.
    told = json.loads(answer.out)
    assert (told["n"], told["selection"]) == (8, None)
    files = sorted((there / "photos").rglob("*.png"))
    for row in told["curve"]:
        expected = np.mean([expected_mse(path, row["budget"]) for path in files])
        assert row["mse"] == pytest.approx(expected, rel=1e-5)
        assert {"psnr", "ssim", "perceptual", "fd_lite0", "bits"} <= row.keys()
    results = adatok("results", told["suite"], "--format", "csv")
    assert told["cell_key"] in results.out


def test_what_is_asked_for_is_written(adatok, there):
    answer = adatok(*BANK, "--budgets", "2,16", "--out", "made", "--format", "csv")
    assert answer.code == 0, answer.err
    curve = pd.read_csv("made/curve.csv")
    assert curve["budget"].tolist() == [2, 16]
    assert answer.out.splitlines()[0] == ",".join([*curve.columns, "n"])
    assert np.load("made/ids.npy").shape == (8, 16)
    assert "stage.json" not in os.listdir("made")
    again = adatok(*BANK, "--budgets", "2,16", "--out", "made")
    assert (again.code, again.out) == (2, "")
    table = adatok(*BANK, "--budgets", "2,16")
    assert re.match(r"budget +bits +mse +psnr +ssim +perceptual +fd_lite0 ", table.out)


def test_a_part_of_the_images_at_the_budgets_asked_for(adatok, there):
    answer = adatok(*BANK, "--budgets", "4", "--limit", 5, "--batch", 2, "--json")
    assert answer.code == 0, answer.err
    told = json.loads(answer.out)
    assert told["suite"].endswith("@5")
    assert (told["n"], told["selection"]) == (5, {"limit": 5})
    first = sorted((there / "photos").rglob("*.png"))[:5]
    ((row,),) = (told["curve"],)
    assert row["budget"] == 4
    assert row["mse"] == pytest.approx(np.mean([expected_mse(p, 4) for p in first]), rel=1e-5)
    assert pd.read_parquet(f"{told['bank']}/images.parquet")["id"].tolist() == [
        path.relative_to(there / "photos").as_posix() for path in first
    ]


def test_an_exported_model_and_a_list_of_images(adatok, there, small_run):
    store = ("--store", small_run.store.root)
    assert adatok("export", "small:elastic", "--out", "model", *store).code == 0
    Path("ids.txt").write_text("b/1.png\nb/3.png\n\nb/5.png\na/0.png\n")
    asked = ("bank", "model", "photos", "--ids", "ids.txt", "--budgets", "3", "--json")
    answer = adatok(*asked)
    assert answer.code == 0, answer.err
    told = json.loads(answer.out)
    assert told["n"] == 4
    # Training drew 1, 2 and 4: of this length nothing is known.
    assert [(row["budget"], row["trained"]) for row in told["curve"]] == [(3, False)]
    assert "@ids-" in told["suite"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("no_tok.py:Blocks", "photos"), "No such file"),
        (("my_tok.py:Blocks", "nothing"), "does not exist"),
        (("my_tok.py:Blocks", "photos", "--argument", "levels"), "give NAME=VALUE"),
        (("my_tok.py:Blocks", "photos", "--argument", "steps=3"), "steps"),
        (("my_tok.py:Blocks", "photos", "--budgets", "2,17"), "17 is not among those it has"),
        (("my_tok.py:Blocks", "photos", "--budgets", "2,x"), "--budgets 2,x"),
        (("my_tok.py:Blocks", "photos", "--python", "/no/python"), "/no/python"),
        (("photos", "photos"), "is no exported model"),
        (("my_tok.py:Blocks", "photos", "--ids", "nothing.txt"), "--ids: cannot read"),
        (("my_tok.py:Blocks", "photos", "--json", "--format", "csv"), "drop one of the two"),
    ],
)
def test_bad_input_is_one_line(adatok, there, arguments, expected):
    records = sorted(Path("store/records").iterdir())
    answer = adatok("bank", *arguments)
    assert (answer.code, answer.out) == (2, "")
    assert expected in answer.err.strip().splitlines()[-1]
    assert answer.err.count("error: ") == 1
    assert sorted(Path("store/records").iterdir()) == records


def test_ids_of_no_image_are_counted_and_the_nearest_named(adatok, there):
    Path("ids.txt").write_text("a/0.png\na/00.png\nb/9.png\n")
    answer = adatok(*BANK, "--budgets", "2", "--ids", "ids.txt")
    assert answer.code == 2
    last = answer.err.strip().splitlines()[-1]
    assert "2 of the ids are of no image" in last
    assert "'a/00.png' (nearest: 'a/0.png')" in last


def test_arguments_are_yaml():
    assert arguments_of(["n=3", "rate=0.5", "name=a b", "on=true", "path=x=y", "some=[1, 2]"]) == {
        **{"n": 3, "rate": 0.5, "name": "a b", "on": True, "path": "x=y", "some": [1, 2]}
    }
    for wrong in (["3"], ["a b=1"], ["n=1", "n=2"], ["n=["]):
        with pytest.raises(UserError, match="--argument"):
            arguments_of(wrong)


def test_import_alone_is_fast():
    code = "import sys, bench; print(sorted({'torch', 'pandas', 'numpy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr
