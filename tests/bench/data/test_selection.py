import numpy as np
import pytest

from bench.data.datasets import FluentScenes, ImageFolder
from bench.data.image_set import read_image_set
from bench.data.manifest import build_manifest
from bench.data.selection import ImageIds, chosen, read_ids, require_known
from bench.data.writing import write_folder, write_scenes
from bench.errors import UserError

NAMES = ["a", "b", "c", "d"]


@pytest.mark.parametrize(
    ("limit", "listed", "expected"),
    [
        (None, None, [0, 1, 2, 3]),
        (2, None, [0, 1]),
        (9, None, [0, 1, 2, 3]),
        (None, {"d", "b", "z"}, [1, 3]),
        (1, {"d", "b"}, [1]),
        (3, {"z"}, [0, 1, 2]),  # Of another split: this one stays whole.
    ],
)
def test_what_is_taken(limit, listed, expected):
    found = chosen(NAMES, limit=limit, listed=listed and frozenset(listed))
    assert found.tolist() == expected


def listed(tmp_path, *ids):
    path = tmp_path / "ids.txt"
    path.write_text("\n".join(ids))
    return read_ids(ImageIds(file=str(path)))[0]


def test_a_list_is_its_ids(tmp_path):
    one = listed(tmp_path, "b", "a", "", "a ")
    assert one.count == 2
    assert listed(tmp_path, "a", "b").sha256 == one.sha256
    assert listed(tmp_path, "a").sha256 != one.sha256
    with pytest.raises(UserError, match="is another list"):
        read_ids(one)
    with pytest.raises(UserError, match="has no ids"):
        listed(tmp_path, "", " ")
    (tmp_path / "ids.txt").write_bytes(b"\xff\xfe\x80")
    with pytest.raises(UserError, match="cannot read"):
        read_ids(ImageIds(file=str(tmp_path / "ids.txt")))


def test_unknown_ids_are_counted():
    require_known(["a"], NAMES)
    with pytest.raises(UserError, match=r"2 of the ids .* such as 'bb' \(nearest: 'b'\)"):
        require_known(["bb", "zz", "a"], NAMES)


def test_scenes_are_those_of_the_whole_set(tmp_path):
    sizes = {"resolution": 16, "train": 3, "validation": 5}
    whole = write_scenes(FluentScenes(**sizes), "validation", tmp_path / "whole")
    ids = listed(tmp_path, "validation/000003", "validation/000001")
    part = write_scenes(FluentScenes(**sizes, ids=ids), "validation", tmp_path / "part")
    np.testing.assert_array_equal(part.pixels, whole.pixels[[1, 3]])
    assert part.table["id"].tolist() == ["validation/000001", "validation/000003"]
    assert part.digest != whole.digest
    first = write_scenes(FluentScenes(**sizes, limit=2), "train", tmp_path / "first")
    assert len(first.pixels) == 2
    assert read_image_set(tmp_path / "first").selection == {"limit": 2}
    assert read_image_set(tmp_path / "part").selection == {"ids_sha256": ids.sha256}
    assert whole.selection is None
    wrong = listed(tmp_path, "validation/000005")
    with pytest.raises(UserError, match="1 of the ids"):
        write_scenes(FluentScenes(**sizes, ids=wrong), "validation", tmp_path / "wrong")


def test_a_folder_for_evaluation_alone(tmp_path, picture, save):
    for number, path in enumerate(("train/b.png", "train/a.png", "val/c.png", "d.png")):
        save(picture(number, (16, 16)), tmp_path / "tree" / path, format="PNG")
    config = ImageFolder(path=str(tmp_path / "tree"), resolution=16, undivided=True)
    manifest = build_manifest(tmp_path / "tree", config.folders)
    whole = write_folder(config, "validation", tmp_path / "whole", manifest=manifest)
    assert whole.table["id"].tolist() == ["d.png", "train/a.png", "train/b.png", "val/c.png"]
    assert whole.table["label_name"].tolist() == [".", "train", "train", "val"]
    with pytest.raises(UserError, match="its train split has 0"):
        write_folder(config, "train", tmp_path / "none", manifest=manifest)
    ids = listed(tmp_path, "val/c.png", "train/b.png")
    part = ImageFolder(path=config.path, resolution=16, undivided=True, ids=ids, limit=1)
    first = write_folder(part, "validation", tmp_path / "part", manifest=manifest)
    assert first.table["id"].tolist() == ["train/b.png"]
