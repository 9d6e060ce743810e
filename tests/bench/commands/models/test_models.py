"""`export`, `encode` and `decode` on the command line."""

import os

import numpy as np
import pyarrow.parquet as parquet
import pytest
import torch
from PIL import Image


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(1)
    (tmp_path / "photos" / "inner").mkdir(parents=True)
    for name in ("a.png", "b.jpg", "inner/c.png"):
        image = Image.fromarray(rng.integers(0, 255, (50, 40, 3), np.uint8))
        image.save(tmp_path / "photos" / name)
    return tmp_path / "photos"


@pytest.fixture
def model(adatok, small_run, tmp_path):
    out = tmp_path / "model"
    answer = adatok("export", "small:policy: seed 0", "--out", out, "--store", small_run.store.root)
    assert answer.code == 0, answer.err
    assert f"{out / 'README.md'}\n" in answer.out
    return out


def test_from_a_cell_to_tokens_and_back(adatok, model, folder, tmp_path):
    tokens, out = tmp_path / "t.parquet", tmp_path / "out"
    answer = adatok("encode", folder, "--model", model, "--out", tokens)
    assert answer.code == 0, answer.err
    assert answer.out.startswith(f"{tokens}: 3 images, ")
    assert "encoding" in answer.err
    answer = adatok("decode", tokens, "--model", model, "--out", out)
    assert (answer.code, answer.out) == (0, f"{out}: 3 images\n")
    assert "decoding" in answer.err
    assert sorted(p.relative_to(out).as_posix() for p in out.rglob("*.png")) == [
        "a.png",
        "b.png",
        "inner/c.png",
    ]
    with Image.open(out / "a.png") as image:
        assert (image.size, image.format) == ((32, 32), "PNG")


def test_a_budget_of_all_images(adatok, model, folder, tmp_path):
    tokens = tmp_path / "t.parquet"
    answer = adatok("encode", folder, "--model", model, "--out", tokens, "--budget", 3)
    assert answer.out.endswith("3 images, 3 tokens on average (images by budget: 3: 3)\n")
    assert "never drew this number" in answer.err
    assert set(parquet.read_table(tokens)["budget"].to_pylist()) == {3}


def test_unreadable_files_are_listed_and_stop_it_above_the_share(adatok, model, folder, tmp_path):
    (folder / "torn.png").write_text("no image")
    command = ("encode", folder, "--model", model, "--out", tmp_path / "t.parquet")
    answer = adatok(*command)
    assert (answer.code, answer.out) == (2, "")
    assert "torn.png" in answer.err
    assert not (tmp_path / "t.parquet").exists()
    answer = adatok(*command, "--max-unreadable", 0.25)
    assert answer.code == 0
    assert "unreadable: torn.png" in answer.err
    assert "warning: 1 unreadable image files left out" in answer.err


def test_what_is_hidden_or_foreign_stops_nothing_and_is_told(adatok, model, folder, tmp_path):
    (folder / "inner" / "._c.png").write_bytes(b"\0\5\x16\7AppleDouble")
    (folder / "a.png").rename(folder / "a.jfif")
    with Image.open(folder / "b.jpg") as image:
        image.save(folder / "b.avif")
    (folder / "phone.heic").write_text("not read")
    (folder / "notes.txt").write_text("no image")
    answer = adatok("encode", folder, "--model", model, "--out", tmp_path / "t.parquet")
    assert answer.code == 0, answer.err
    paths = parquet.read_table(tmp_path / "t.parquet")["path"].to_pylist()
    assert paths == ["a.jfif", "b.avif", "b.jpg", "inner/c.png"]
    assert "1 file with the suffix of an image not read: phone.heic" in answer.err
    assert "ignored: hidden 1, other files 1" in answer.err


def test_damaged_metadata_are_told(adatok, model, folder, tmp_path):
    data = (folder / "a.png").read_bytes()
    at = data.index(b"IDAT") - 4
    (folder / "a.png").write_bytes(data[:at] + b"\0\0\0\1tEXtx\0\0\0\0" + data[at:])
    answer = adatok("encode", folder, "--model", model, "--out", tmp_path / "t.parquet")
    assert answer.code == 0, answer.err
    assert "1 images with damaged metadata read without them" in answer.err


def test_a_folder_with_the_name_of_an_image_comes_back_beside_it(adatok, model, folder, tmp_path):
    (folder / "b.png").mkdir()
    (folder / "a.png").rename(folder / "b.png" / "a.jpg")
    tokens, out = tmp_path / "t.parquet", tmp_path / "out"
    assert adatok("encode", folder, "--model", model, "--out", tokens).code == 0
    answer = adatok("decode", tokens, "--model", model, "--out", out)
    assert answer.code == 0, answer.err
    names = sorted(path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file())
    assert names == ["b.jpg.png", "b.png/a.png", "inner/c.png"]


def test_names_that_decode_would_refuse_are_refused(adatok, model, folder, tmp_path):
    (folder / "a.png").rename(folder / "a\\b.png")
    command = ("encode", folder, "--model", model, "--out", tmp_path / "t.parquet")
    answer = adatok(*command)
    assert (answer.code, answer.err.count("\n")) == (2, 1)
    assert "rename the file" in answer.err
    (folder / "a\\b.png").unlink()
    os.mkfifo(folder / "pipe.png")
    answer = adatok(*command)
    assert answer.code == 2
    assert "pipe.png: not a regular file" in answer.err


def test_batches_are_as_large_as_asked(adatok, model, folder, tmp_path, monkeypatch):
    from bench.models.exported_model import ExportedModel

    sizes, encode, decoded = [], ExportedModel.encode, ExportedModel._decoded
    monkeypatch.setattr(
        ExportedModel,
        "encode",
        lambda self, pixels, budget: sizes.append(len(pixels)) or encode(self, pixels, budget),
    )
    monkeypatch.setattr(
        ExportedModel,
        "_decoded",
        lambda self, queue, decoders: sizes.append(len(queue)) or decoded(self, queue, decoders),
    )
    tokens = tmp_path / "t.parquet"
    options = ("--model", model, "--batch", 2)
    adatok("encode", folder, *options, "--out", tokens, "--budget", 2)
    adatok("decode", tokens, *options, "--out", tmp_path / "out")
    tried = [1, 1]  # An image, before a model is used.
    assert sizes == [*tried, 2, 1, *tried, 2, 1]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize("command", ["encode", "decode"])
def test_a_gpu_that_is_not_there_is_refused(adatok, model, folder, tmp_path, command):
    answer = adatok(command, folder, "--model", model, "--out", tmp_path / "x", "--device", "cuda")
    assert (answer.code, answer.out) == (2, "")
    assert "error: --device cuda: this machine has no usable GPU" in answer.err


def test_here_is_no_new_folder(adatok, model, folder, tmp_path, monkeypatch):
    tokens = tmp_path / "t.parquet"
    adatok("encode", folder, "--model", model, "--out", tokens)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    answer = adatok("decode", tokens, "--model", model, "--out", ".")
    assert (answer.code, list((tmp_path / "here").iterdir())) == (2, [])
    assert "is there already" in answer.err


@pytest.mark.parametrize(
    ("command", "source", "expected"),
    [
        ("encode", "nothing", "does not exist or is not a folder"),
        ("encode", "model", "has no images"),
        ("decode", "nothing", "no such file"),
        ("decode", "photos/a.png", "is no file of tokens"),
    ],
)
def test_bad_input_is_one_line(adatok, model, folder, tmp_path, command, source, expected):
    answer = adatok(command, tmp_path / source, "--model", model, "--out", tmp_path / "out")
    assert (answer.code, answer.out) == (2, "")
    (line,) = answer.err.strip().splitlines()
    assert line.startswith("error: ")
    assert expected in line
    assert not (tmp_path / "out").exists()


def test_a_folder_that_is_no_model_is_one_line(adatok, folder, tmp_path):
    answer = adatok("encode", folder, "--model", folder, "--out", tmp_path / "t.parquet")
    assert answer.code == 2
    assert "is no exported model; make one with: adatok-bench export" in answer.err
