"""`export`, `encode` and `decode` of a tokenizer that someone else wrote."""

import json

import numpy as np
import pyarrow.parquet as parquet
import pytest
from PIL import Image

from bench.artifacts.exported import check_sums
from bench.artifacts.foreign import ForeignSettings, identity_sha256
from bench.config.tokenizers import ExternalTokenizer
from bench.errors import UserError
from bench.external.identity import _source, identity_of


@pytest.fixture
def model(adatok, external_run, tmp_path):
    store = ("--store", external_run.store.root)
    answer = adatok("export", "external:policy", "--out", tmp_path / "model", *store)
    assert answer.code == 0, answer.err
    return tmp_path / "model"


def test_the_folder_names_what_it_does_not_hold(model, blocks, load):
    sums = check_sums(model)
    assert {*sums} == {"NOTICE", "README.md", "config.yaml", "policy.safetensors", "tokenizer.json"}
    card = (model / "README.md").read_text()
    assert f"`{blocks}:Blocks`" in card
    held = ForeignSettings.read(model)
    assert held.identity["code"]["sha256"] in card
    assert "EMA" not in card.partition("## Protocol")[0]
    (cell,) = load_config(model, load)
    assert cell.config.tokenizer.factory == f"{blocks}:Blocks"


def load_config(model, load):
    from bench.suite.loading import load_suite

    return load_suite(model / "config.yaml").cells


def test_the_policy_chooses_and_images_come_back(adatok, model, photos, tmp_path):
    tokens, out = tmp_path / "t.parquet", tmp_path / "out"
    answer = adatok("encode", photos, "--model", model, "--out", tokens)
    assert answer.code == 0, answer.err
    table = parquet.read_table(tokens)
    assert {*table["budget"].to_pylist()} <= {2, 16}
    assert adatok("decode", tokens, "--model", model, "--out", out).code == 0
    for row in table.to_pylist():
        codes = np.array([[n // 16, n // 4 % 4, n % 4] for n in row["tokens"]])
        whole = np.full((3, 16), 0.5)
        whole[:, : len(codes)] = (codes.T + 0.5) / 4
        expected = np.rint(whole * 255).reshape(3, 4, 4).repeat(8, 1).repeat(8, 2)
        with Image.open(out / row["path"]) as image:
            np.testing.assert_array_equal(np.asarray(image).transpose(2, 0, 1), expected)


def test_a_factory_needs_no_export_and_its_tokens_are_the_same(
    adatok, model, photos, blocks, tmp_path, monkeypatch
):
    monkeypatch.chdir(blocks.parent)
    factory = ("--tokenizer", "my_tok.py:Blocks", "--argument", "levels=4")
    mine, other = tmp_path / "mine.parquet", tmp_path / "other.parquet"
    asked = ("--budget", 3, "--limit", 5)
    assert adatok("encode", photos, *factory, "--out", mine, *asked).code == 0
    assert adatok("encode", photos, "--model", model, "--out", other, *asked).code == 0
    assert parquet.read_table(mine).equals(parquet.read_table(other))
    assert parquet.read_table(mine).num_rows == 5
    about = json.loads(parquet.ParquetFile(mine).metadata.metadata[b"adatok_bench"])
    assert about["selection"] == {"limit": 5}
    assert about["tokenizer_sha256"] == ForeignSettings.read(model).sha256
    assert adatok("decode", mine, "--model", model, "--out", tmp_path / "a").code == 0
    assert adatok("decode", other, *factory, "--out", tmp_path / "b").code == 0
    finer = (*factory[:3], "levels=5")
    answer = adatok("decode", mine, *finer, "--out", tmp_path / "c")
    assert answer.code == 2
    assert "holds tokens of another model" in answer.err


def test_a_list_of_images(adatok, model, photos, tmp_path):
    ids = tmp_path / "ids.txt"
    ids.write_text("b/3.png\na/0.png\n")
    command = ("encode", photos, "--model", model, "--budget", 2, "--ids", ids)
    assert adatok(*command, "--out", tmp_path / "t.parquet").code == 0
    paths = parquet.read_table(tmp_path / "t.parquet")["path"].to_pylist()
    assert paths == ["a/0.png", "b/3.png"]
    ids.write_text("b/33.png\n")
    answer = adatok(*command, "--out", tmp_path / "u.parquet")
    assert answer.code == 2
    assert "--ids: 1 of the ids are of no image that is here" in answer.err
    assert "nearest: 'b/3.png'" in answer.err
    assert not (tmp_path / "u.parquet").exists()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ((), "give one of the two"),
        (("--model", "x", "--tokenizer", "y:z"), "give one of the two"),
        (("--model", "x", "--argument", "levels=4"), "are for --tokenizer"),
        (("--tokenizer", "no_such_module:f", "--budget", 2), "no_such_module"),
        (("--tokenizer", "{blocks}:Blocks"), "has no policy to choose token budgets"),
        (("--tokenizer", "{blocks}:Blocks", "--budget", 17), "is outside 1..16"),
    ],
)
def test_bad_input_is_one_line(adatok, photos, blocks, tmp_path, options, expected):
    options = [str(one).format(blocks=blocks) for one in options]
    answer = adatok("encode", photos, *options, "--out", tmp_path / "t.parquet")
    assert (answer.code, answer.out, answer.err.count("\n")) == (2, "", 1)
    assert expected in answer.err
    assert not (tmp_path / "t.parquet").exists()


def test_changed_code_is_not_run(adatok, model, photos, blocks, tmp_path):
    code = blocks.read_text()
    command = ("encode", photos, "--model", model, "--budget", 2, "--out", tmp_path / "t.parquet")
    try:
        blocks.write_text(f"{code}\nopen({str(tmp_path / 'ran')!r}, 'w')\n")
        _source.cache_clear()  # As a process of its own would.
        answer = adatok(*command)
    finally:
        blocks.write_text(code)
        _source.cache_clear()
    assert answer.code == 2
    assert "its code is not what it was" in answer.err
    assert not (tmp_path / "ran").exists()
    assert adatok(*command).code == 0


def test_files_that_arguments_name_count_by_content(tmp_path):
    (tmp_path / "tok.py").write_text("def make(weights): ...")
    (tmp_path / "w.bin").write_bytes(b"first")
    raw = {"kind": "external", "factory": "tok.py:make", "arguments": {"weights": "w.bin"}}
    settings = ExternalTokenizer(factory="tok.py:make", arguments={"weights": "w.bin"})
    identity = identity_of(settings, folder=str(tmp_path))
    held = ForeignSettings({**raw, "budgets": [1]}, str(tmp_path), identity)
    held.require_unchanged()
    placed = held.placed()
    assert placed["factory"] == f"{tmp_path}/tok.py:make"
    assert placed["arguments"] == {"weights": f"{tmp_path}/w.bin"}
    moved = {**identity, "factory": "elsewhere/tok.py:make"}
    assert identity_sha256(moved) == identity_sha256(identity)
    assert identity_sha256({**identity, "arguments": {}}) != identity_sha256(identity)
    (tmp_path / "w.bin").write_bytes(b"second")
    with pytest.raises(UserError, match=r"argument 'weights': w.bin .* not what it was"):
        held.require_unchanged()
    (tmp_path / "w.bin").unlink()
    with pytest.raises(UserError, match=r"argument 'weights'.* is missing"):
        held.require_unchanged()
