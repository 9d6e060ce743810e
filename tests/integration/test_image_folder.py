import json

import numpy as np
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
