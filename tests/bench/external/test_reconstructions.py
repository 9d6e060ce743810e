"""Reconstructions made elsewhere: as good as who made them, and else refused in a line."""

import shutil

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml
from elsewhere import MADE, POLICY, READ, SUITE, TOKENIZER, TOKENS, Place, write_pictures
from PIL import Image

from adatok_core.config import PolicyConfig
from bench.allocators.base import Seen, encoder_passes
from bench.allocators.oracle import Oracle
from bench.allocators.policy_features import policy_features
from bench.artifacts.bank import Bank
from bench.artifacts.gallery import Gallery
from bench.artifacts.reconstructions import FileDecodings
from bench.errors import UserError
from bench.graph.suite_graph import build_graph
from bench.judging.controls import passes
from bench.run.planning.plan import in_order
from bench.store.store import Store
from bench.suite.loading import load_suite

LENGTHS = {"kind": "two_point", "low": 2, "high": 16, "mean": 8}
SPEED = {"generator": {}, "lengths": LENGTHS}
SPEEDS = ("encode_images_per_second", "decode_images_per_second")


@pytest.fixture(scope="module")
def finished(tmp_path_factory, template):
    """A run of a tokenizer, and of what it makes, written out beforehand."""
    place = Place(tmp_path_factory.mktemp("elsewhere"))
    (place.folder / "store").mkdir()
    shutil.copy(template, place.folder / "store" / "mlflow.db")
    (place.folder / "blocks.py").write_text(TOKENIZER)
    write_pictures(place.folder)
    assert place.run([*MADE, *READ]) == 0
    return place


@pytest.fixture
def place(finished, tmp_path, capsys):
    """A copy, to be spoilt, whose images are in the store already."""
    shutil.copytree(finished.folder, tmp_path, dirs_exist_ok=True)
    capsys.readouterr()
    return Place(tmp_path, capsys)


def refused(place, arms=({"name": "curve"},), **base):
    """The one line by which a run is refused, before any bank was made."""
    before = place.banks()
    assert place.run(list(arms), **base) == 2
    lines = [line for line in place.capture.readouterr().err.splitlines() if "error:" in line]
    assert len(lines) == 1
    assert place.banks() == before
    return lines[0]


def picture_at(place, budget, name):
    return place.folder / "made" / str(budget) / "validation" / f"{name}.png"


# The central promise: numbers are those of the tokenizer.


@pytest.mark.parametrize("index", [0, 1])
def test_banks_equal_those_of_the_tokenizer_that_made_them(finished, index):
    ours, theirs, listed = (
        Bank.read(finished.artifact(arm, "bank", index))
        for arm in ("our policy", "policy", "tokens")
    )
    assert {"mse", "psnr", "ssim"} <= set(theirs.about["arrays"])
    assert set(ours.about["arrays"]) - set(theirs.about["arrays"]) == {"ids"}
    for name in theirs.about["arrays"]:
        np.testing.assert_array_equal(theirs.array(name), ours.array(name))
    assert np.ptp(theirs.array("mse")) > 0
    np.testing.assert_array_equal(listed.array("ids"), ours.array("ids"))
    assert listed.array("ids").dtype == ours.array("ids").dtype
    assert listed.about["codebook"] == ours.about["codebook"]
    assert theirs.about["codebook"] is theirs.about["bits_per_token"] is None


def test_records_equal_them_but_for_what_is_not_known(finished):
    of_ids = {"codebook_usage", "codebook_entropy_bits", "tail_entropy_ratio"}
    unknown = {"bits", "bits_per_token", *of_ids, *SPEEDS}
    for ours, theirs in (("ours", "curve"), ("our policy", "policy")):
        told, read = finished.record(ours), finished.record(theirs)
        left = {name: told.metrics.value(name) for name in told.metrics}
        missing = left.keys() - {*read.metrics}
        assert missing == unknown | ({"policy_time_share"} if "policy" in theirs else set())
        assert {name: read.metrics.value(name) for name in read.metrics} == {
            name: value for name, value in left.items() if name not in missing
        }
        assert read.codebook is read.throughput is read.tokenizer_parameters is None
        assert read.controls == {
            name: type(row)({k: v for k, v in row.root.items() if k not in unknown})
            for name, row in told.controls.items()
        }
        assert len(read.curve) == len(told.curve)
        for one, other in zip(told.curve, read.curve, strict=True):
            assert other.values == {k: v for k, v in one.values.items() if k not in unknown}
        pd.testing.assert_frame_equal(finished.table(ours), finished.table(theirs))
        galleries = [Gallery.read(finished.artifact(arm, "evaluation")) for arm in (ours, theirs)]
        np.testing.assert_array_equal(galleries[0].pixels, galleries[1].pixels)


def test_an_oracle_chooses_between_them(finished):
    record = finished.record("oracle")
    assert record.metrics.value("mean_tokens") == pytest.approx(6, abs=1)
    assert record.metrics.value("allocation_skill") == pytest.approx(1)
    assert record.metrics.value("mse") < record.controls["agnostic"].value("mse")


def test_token_ids_give_bits_and_codebook_use(finished):
    record, ours = finished.record("tokens"), finished.record("ours")
    tokens = record.metrics.value("mean_tokens")
    assert record.metrics.value("bits") == pytest.approx(6 * tokens + np.log2(3))
    assert record.codebook == ours.codebook
    assert record.metrics.value("encoder_passes") == 1


def test_encoder_passes_are_not_known_where_nested_is_not_said():
    curves = np.array([[3.0, 2.0, 1.0], [3.0, 1.0, 0.5]])
    oracle = Oracle(budgets=np.array([1, 2, 4]), mean_budget=2)
    for nested, expected in ((True, 1.0), (False, 3.0), (None, None)):
        made = oracle.allocate(Seen(count=2, nested=nested, curves=curves))
        assert passes(made).get("encoder_passes") == expected
    assert encoder_passes(frozenset({"pixels"}), nested=None) == 1
    assert encoder_passes(frozenset({"ids"}), nested=None) is None


def test_what_is_not_known_is_a_dash(place):
    assert place.command("results", "elsewhere", "--store", "store") == 0
    head, *rows = place.capture.readouterr().out.splitlines()
    at = head.index("bits")
    (curve,) = (row for row in rows if " curve " in row)
    assert curve[: at + 4].split()[-1] == "-"


def test_controls_that_look_at_ids_are_left_out_where_there_are_none(finished):
    assert "png_size" in finished.record("oracle").controls
    assert "codebook_entropy" not in finished.record("oracle").controls


def test_a_folder_that_has_moved_is_the_same(place):
    (place.folder / "made").rename(place.folder / "moved")
    moved = {**SUITE["base"]["tokenizer"], "path": "moved"}
    assert place.run(READ[:1], tokenizer=moved) == 0
    assert " computed" not in place.capture.readouterr().err
    mixed = {"name": "mixed", "set": {"allocator": {"kind": "oracle", "mean_budget": 5}}}
    assert place.run([mixed], tokenizer=moved) == 0
    said = place.capture.readouterr().err
    assert said.count(" computed") == 1
    assert "evaluation-" in said


def test_a_suite_needs_the_images_that_it_uses(place):
    shutil.rmtree(place.folder / "made" / "2" / "train")
    shutil.copy(picture_at(place, 8, "000003"), picture_at(place, 8, "another"))
    picture_at(place, 2, "broken").write_bytes(b"\x89PNG\r\n\x1a\n")
    Image.new("RGB", (16, 16), "red").save(picture_at(place, 8, "000003"))
    before = place.record("curve").curve
    assert place.run(READ[:1]) == 0
    said = place.capture.readouterr().err
    assert "made: 72 files, 50 files are of no image of this suite and not read" in said
    # One that has changed makes another tokenizer of the folder.
    changed = [
        row.value("mse") != now.value("mse")
        for row, now in zip(before, place.record("curve").curve, strict=True)
    ]
    assert changed == [False, True, False]


# What is refused.


def test_missing_files_are_told_of_all_splits(place):
    for name in ("000003", "000004", "000005", "000006"):
        picture_at(place, 8, name).unlink()
        picture_at(place, 16, name).unlink()
    (place.folder / "made" / "2" / "train" / "000000.png").unlink()
    line = refused(place, [READ[1]])
    assert (
        "4 of the 24 validation images have no file at budgets 8 and 16 (validation/000003, "
        "validation/000004, validation/000005 ...)" in line
    )
    assert "1 of the 24 train images have no file at budget 2 (train/000000)" in line


def spoil_size(path):
    Image.new("RGB", (16, 17)).save(path)


def spoil_jpeg(path):
    Image.new("RGB", (16, 16)).save(path, format="JPEG")


def spoil_webp(path):
    path.unlink()
    Image.new("RGB", (16, 16)).save(path.with_suffix(".webp"), lossless=False)


def spoil_bytes(path):
    path.write_bytes(path.read_bytes()[:60])


def spoil_twice(path):
    Image.new("RGB", (16, 16)).save(path.with_suffix(".webp"), lossless=True)


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (spoil_size, "are 16 x 17 px instead of 16 x 16 at budget 8"),
        (spoil_jpeg, "are JPEG at budget 8"),
        (spoil_webp, "are lossy WebP at budget 8"),
        (spoil_bytes, "cannot be read ("),
        (spoil_twice, "have several files at budget 8"),
    ],
)
def test_files_that_cannot_be_used_are_refused(place, spoil, expected):
    spoil(picture_at(place, 8, "000003"))
    line = refused(place)
    assert "1 of the 24 validation images" in line
    assert expected in line
    assert "(validation/000003)" in line


def test_another_image_set_is_told(place):
    for budget in (2, 8, 16):
        folder = place.folder / "made" / str(budget)
        (folder / "validation").rename(folder / "others")
    line = refused(place)
    assert "none of the 24 validation images is there, at any budget" in line
    assert "'validation/000000'" in line
    assert "is it another image set?" in line


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"tokenizer.path": "nowhere"}, "tokenizer.path: "),
        ({"tokenizer.path": "made/2"}, "no sub-folder is called by a number of tokens"),
        ({"tokenizer.budgets": [2, 4]}, "has no sub-folder 4; there are: 2, 8, 16"),
        ({"tokenizer.tokens": "tokens.parquet"}, "codebook_size: missing"),
        ({**TOKENS, "tokenizer.tokens": "blocks.py"}, "is no Parquet file"),
        ({**TOKENS, "tokenizer.tokens": "none.parquet"}, "No such file"),
        ({"tokenizer.bits_per_token": 0.0}, "bits_per_token: must lie in"),
        ({"bank.budgets": [4]}, "bank.budgets: [4] are not among those of the reconstructions"),
        ({"policy": {**POLICY, "input": "latents"}}, "no latents; set it to pixels"),
        ({"policy": {**POLICY, "input": "quantized"}}, "no quantized; set it to pixels"),
        (
            {"allocator": {"kind": "codebook_entropy", "mean_budget": 6}},
            "codebook_entropy looks at token ids; give them as tokenizer.tokens",
        ),
        ({"generation": {"budget": 16}}, "generation: takes a tokenizer that decodes"),
        ({"throughput": SPEED}, "throughput: takes a tokenizer that decodes"),
        ({"bank.own_targets": [0.1]}, "bank.own_targets: the tokenizer does not halt by itself"),
        ({"finetuning": {}}, "finetuning: only tokenizers that are trained here"),
    ],
)
def test_settings_that_cannot_be_are_refused_when_read(place, settings, expected):
    assert place.run([{"name": "arm", "set": settings}], command="validate") == 2
    lines = place.capture.readouterr().err.splitlines()
    assert len(lines) == 1
    assert expected in lines[0]


def spoilt_tokens(place, change):
    path = place.folder / "tokens.parquet"
    table = pq.read_table(path).to_pylist()
    change(table)
    pd.DataFrame(table).to_parquet(path, index=False)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda rows: rows[0]["ids"].pop(), "1 of 48 rows have not the 16 ids"),
        (lambda rows: rows[0]["ids"].__setitem__(3, 64), "ids outside 0..63"),
        (lambda rows: rows[0]["ids"].__setitem__(3, -1), "ids outside 0..63"),
        (lambda rows: rows.append(rows[0]), "has several rows"),
        (
            lambda rows: [row.update(id="x") for row in rows if row["id"] == "validation/000003"],
            "1 of the 24 validation images have not one row of tokens (validation/000003)",
        ),
        (lambda rows: [row.pop("ids") for row in rows], "needs the columns id (text) and ids"),
    ],
)
def test_token_ids_that_cannot_be_are_refused(place, change, expected):
    spoilt_tokens(place, change)
    assert expected in refused(place, [{"name": "curve", "set": TOKENS}])


def test_a_picture_that_changes_later_is_refused(finished, tmp_path):
    shutil.copytree(finished.folder / "made", tmp_path / "made")
    decodings = FileDecodings.load(
        finished.artifact("curve", "reconstructions"), root=str(tmp_path / "made")
    )
    file = decodings.inventory.of(["validation/000003"], 8)[0]
    Image.new("RGB", (16, 16)).save(tmp_path / "made" / file.path)
    with pytest.raises(UserError, match="has changed since it was looked at"):
        decodings._unchanged(file)


def test_a_tokenizer_without_features_has_none_for_a_policy(finished):
    bank = Bank.read(finished.artifact("ours", "bank"))
    config = PolicyConfig(candidates=(2, 8), input="latents")
    with pytest.raises(UserError, match="gives no features with its ids; set it to pixels"):
        policy_features(config, bank, tokenizer=None, images=None)


def test_there_is_nothing_to_export(place):
    arguments = ("elsewhere:curve", "--out", "exported", "--store", "store")
    assert place.command("export", *arguments) == 2
    (line,) = place.capture.readouterr().err.splitlines()
    assert "no tokenizer to export, encode or decode with" in line
    assert not (place.folder / "exported").exists()


def test_validate_reads_no_picture(place):
    assert place.run(READ, command="validate") == 0
    assert f"folder {place.folder / 'made'}: 144 images" in place.capture.readouterr().out


def test_folders_are_looked_through_before_anything_trains(finished):
    trained = {"name": "trained", "set": {"tokenizer": {"budgets": [2, 4]}}}
    path = finished.folder / "beside.yaml"
    path.write_text(yaml.safe_dump({**SUITE, "arms": [trained, READ[1]]}))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(finished.folder)
        graph = build_graph(load_suite(path))
    first = [node.stage for node in in_order(graph, Store(finished.folder / "none"))][:3]
    assert sorted(first) == ["data", "data", "reconstructions"]
