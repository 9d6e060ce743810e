import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image


@pytest.fixture
def photos(tmp_path):
    """61 files in two classes, one of them damaged."""
    root = tmp_path / "photos"
    rng = np.random.default_rng(0)
    for index in range(60):
        path = root / ("kočka" if index % 3 else "pes") / f"{index:02d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (40, 48, 3), dtype=np.uint8)).save(path)
    (root / "pes" / "broken.jpg").write_bytes(b"not a picture")
    return root


@pytest.fixture
def suite(tiny, write_suite, photos):
    tiny["base"]["data"] = {
        "kind": "image_folder",
        "path": str(photos),
        "resolution": 32,
        "validation_fraction": 0.4,
        "max_unreadable": 0.1,
    }
    tiny["base"]["training"] |= {"steps": 10, "warmup_steps": 1}
    return write_suite({**tiny, "arms": [{"name": "elastic"}], "reports": []})


def test_a_folder_from_files_to_a_record(suite, photos, adatok, tmp_path):
    store = tmp_path / "store"
    assert adatok("validate", suite).code == 0
    answer = adatok("run", suite, "--store", store, "--executor", "serial")
    assert answer.code == 0, answer.err
    (path,) = store.glob("manifest/*/manifest.json")
    assert [file["path"] for file in json.loads(path.read_text())["unreadable"]] == [
        "pes/broken.jpg"
    ]
    assert f"warning: 1 unreadable image files left out, 60 read: {path}" in answer.err
    (path,) = store.glob("records/tiny/*.json")
    record = json.loads(path.read_text())
    assert record["stages"][0]["stage"] == "manifest"
    counts = [
        json.loads(path.read_text())["result"]["count"] for path in store.glob("data/*/stage.json")
    ]
    assert (len(counts), sum(counts)) == (2, 60)
    assert record["protocol"]["images_count"] in counts

    rows = json.loads(adatok("plan", suite, "--store", store, "--json").out)["stages"]
    assert [row["stage"] for row in rows].count("manifest") == 1
    assert {row["state"] for row in rows} == {"cached"}
    (photos / "pes" / "broken.jpg").unlink()
    rows = json.loads(adatok("plan", suite, "--store", store, "--json").out)["stages"]
    assert {row["state"] for row in rows} == {"new"}


@pytest.mark.parametrize("command", ["validate", "plan", "run"])
def test_a_file_that_cannot_be_opened_is_one_line(suite, photos, adatok, tmp_path, command):
    (photos / "gone.png").symlink_to(photos / "nothing.png")
    store = () if command == "validate" else ("--store", tmp_path / "store")
    answer = adatok(command, suite, *store)
    assert answer.code == 2
    (line,) = answer.err.strip().splitlines()
    assert "gone.png" in line
    assert not (tmp_path / "store").exists()


@pytest.fixture
def split_photos(tmp_path):
    """Images in train/ and test/ and nothing to validate on, a hidden copy, and a foreign file."""
    rng = np.random.default_rng(0)
    for index in range(48):
        folder = f"{'test' if index % 4 == 0 else 'train'}/{'ape' if index % 8 < 4 else 'bee'}"
        path = tmp_path / "split" / folder / f"{index:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (40, 48, 3), dtype=np.uint8)).save(path)
    hidden = tmp_path / "split" / "train" / "ape" / ".ipynb_checkpoints" / "01-checkpoint.png"
    hidden.parent.mkdir()
    hidden.write_bytes(path.read_bytes())
    (tmp_path / "split" / "train" / "ape" / "phone.heic").write_text("not read")
    return tmp_path / "split"


@pytest.fixture
def on_splits(tiny, write_suite, split_photos):
    """`on_splits(**data)`: a suite on them."""

    def on_splits(**data):
        tiny["base"]["data"] = {"kind": "image_folder", "path": str(split_photos), "resolution": 32}
        tiny["base"]["data"] |= {"validation_fraction": 0.3, **data}
        tiny["base"]["training"] |= {"steps": 10, "warmup_steps": 1}
        return write_suite({**tiny, "arms": [{"name": "elastic"}], "reports": []})

    return on_splits


@pytest.mark.parametrize("command", ["validate", "plan", "run"])
def test_splits_in_doubt_are_asked_about_in_one_line(on_splits, adatok, tmp_path, command):
    store = () if command == "validate" else ("--store", tmp_path / "store")
    answer = adatok(command, on_splits(), *store)
    assert answer.code == 2
    (line,) = answer.err.strip().splitlines()
    assert "has train and test, but no val" in line
    assert "data.validation_folder: test" in line
    assert not (tmp_path / "store").exists()


def test_what_is_held_out_is_neither_trained_nor_validated_on(
    on_splits, split_photos, adatok, tmp_path
):
    suite, store = on_splits(train_folder="train"), tmp_path / "store"
    told = (
        f"image folder {split_photos}: train/ 36 divided by content, test/ 12, held out; "
        "2 classes; ignored: hidden 1"
    )
    foreign = "1 file with the suffix of an image not read: train/ape/phone.heic"
    validated = adatok("validate", suite)
    assert validated.code == 0
    assert told in validated.out
    assert foreign in validated.out
    answer = adatok("run", suite, "--store", store, "--executor", "serial")
    assert answer.code == 0, answer.err
    assert told in answer.err
    assert foreign in answer.err
    tables = [pd.read_parquet(path) for path in store.glob("data/*/images.parquet")]
    ids = [name for table in tables for name in table["id"]]
    assert len(ids) == len(set(ids)) == 36
    assert all(name.startswith("train/") for name in ids)
    assert {name for table in tables for name in table["label_name"]} == {"ape", "bee"}
    counts = {len(table) for table in tables}
    said = answer.err.split(f"images of {split_photos}: ")[1].splitlines()[0]
    assert {int(part.split()[1]) for part in said.split(", ")} == counts
    (path,) = store.glob("manifest/*/manifest.json")
    about = json.loads(path.read_text())
    assert about["foreign"] == ["train/ape/phone.heic"]
    assert about["ignored"] == {"hidden": 1}


def test_a_test_folder_is_validated_on_where_it_is_asked_for(on_splits, adatok, tmp_path):
    answer = adatok("validate", on_splits(validation_folder="test"))
    assert "train/ 36 to train, test/ 12 to validate; 2 classes" in answer.out
