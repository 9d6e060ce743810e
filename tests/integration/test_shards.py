import os

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def photos(tmp_path):
    root = tmp_path / "photos"
    for index in range(48):
        path = root / "ab"[index % 2] / f"{index:02d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(index).integers(0, 256, (40, 48, 3), np.uint8)
        Image.fromarray(pixels).save(path)
    return root


@pytest.fixture
def suite(tiny, write_suite, tmp_path):
    """`suite(**data)`: a curve on the shards that the command has written."""

    def suite(resources=None, **data):
        tiny["base"]["data"] = {
            "kind": "webdataset",
            "train": f"{tmp_path}/shards/images-*.tar",
            "classes": f"{tmp_path}/shards/classes.txt",
            "resolution": 32,
            **data,
        }
        tiny["base"]["training"] |= {"steps": 4, "warmup_steps": 1}
        tiny["base"]["tokenizer"] |= {"budgets": [2, 4], "width": 16, "attention_heads": 2}
        content = {**tiny, "arms": [{"name": "elastic"}], "reports": []}
        return write_suite({**content, "resources": resources or {}})

    return suite


def test_a_folder_becomes_shards_and_these_a_record(photos, suite, adatok, tmp_path):
    answer = adatok("shards", photos, "--out", tmp_path / "shards", "--size", 1)
    assert answer.code == 0, answer.err
    assert answer.out == (
        f'data: {{"kind": "webdataset", "train": "{tmp_path}/shards/images-000000.tar", '
        f'"classes": "{tmp_path}/shards/classes.txt"}}\n'
    )
    path = suite(augment={"crop": "random"}, resources={"manifest": {"cpus": 2}})
    assert "shards 1 divided by content" in adatok("validate", path).out
    store = tmp_path / "store"
    answer = adatok("run", path, "--store", store, "--executor", "serial")
    assert answer.code == 0, answer.err
    assert f"images of {tmp_path}/shards/images-*.tar: train " in answer.err
    assert not list(store.glob("data/*/images.npy"))
    assert adatok("check-store", "--store", store).code == 0


def truncated(place):
    os.truncate(place / "images-000000.tar", 9000)


def another(place):
    (place / "images-000001.tar").write_bytes((place / "images-000000.tar").read_bytes())


def without_class(place):
    (place / "classes.txt").unlink()


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (truncated, "images-000000.tar: truncated"),
        (another, "is in "),
        (without_class, "data.classes: cannot read"),
    ],
)
def test_bad_shards_are_one_line(photos, suite, adatok, tmp_path, damage, words):
    adatok("shards", photos, "--out", tmp_path / "shards")
    damage(tmp_path / "shards")
    for command in ("plan", "run"):
        answer = adatok(command, suite(), "--store", tmp_path / "store")
        assert answer.code == 2
        (line,) = answer.err.strip().splitlines()
        assert words in line


def test_a_broken_member_is_an_unreadable_image(photos, suite, adatok, tmp_path):
    (photos / "a" / "00.jpg").write_bytes(b"\xff\xd8\xff broken")
    adatok("shards", photos, "--out", tmp_path / "shards")
    answer = adatok("run", suite(), "--store", tmp_path / "store", "--executor", "serial")
    assert answer.code == 2
    line = answer.err.strip().splitlines()[-1]
    assert "1 of 48 images are unreadable" in line
    assert "a/00.jpg" in line


def test_more_workers_than_cpus_are_one_line(photos, suite, adatok, tmp_path):
    adatok("shards", photos, "--out", tmp_path / "shards")
    path = suite(resources={"manifest": {"cpus": 100_000}})
    answer = adatok("run", path, "--store", tmp_path / "store")
    assert answer.code == 2
    (line,) = answer.err.strip().splitlines()
    assert "resources.manifest.cpus: 100000 workers, and this machine has" in line
