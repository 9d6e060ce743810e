import json
import os
import shutil
from functools import partial

import pandas as pd
import pytest
from PIL import Image

from bench.data.fingerprint import fingerprint
from bench.data.image_folder import SplitFolders
from bench.data.manifest import build_manifest, files_of_split, read_manifest, write_manifest
from bench.errors import UserError


def paths_of(root):
    return list(build_manifest(root).files["path"])


def rows_of(root):
    return build_manifest(root).files.set_index("path")


def split(root, name, **changes):
    settings = {"validation_fraction": 0.3, "calibration_fraction": 0.0, "max_unreadable": 0.5}
    return files_of_split(build_manifest(root), name, root=root, **(settings | changes))


def splits(root, **changes):
    names = ("train", "validation", *("calibration",) * ("calibration_fraction" in changes))
    return {name: set(split(root, name, **changes)["path"]) for name in names}


def test_manifest_lists_path_hash_size_and_class(folder, picture, save):
    save(picture(99), folder / "ROOT.JPG")
    (folder / "notes.txt").write_text("not an image")
    files = build_manifest(folder).files
    assert list(files["path"]) == sorted(files["path"])
    assert len(files) == 21
    row = files.set_index("path").loc["cat/01.png"]
    data = (folder / "cat/01.png").read_bytes()
    assert (row["file_size"], row["width"], row["height"]) == (len(data), 20, 30)
    assert row["label_name"] == "cat"
    assert files.set_index("path").loc["ROOT.JPG", "label_name"] == "."


def test_a_manifest_knows_the_fingerprint_of_its_tree(folder):
    (folder / "bad.png").write_text("bad")
    assert build_manifest(folder).fingerprint == fingerprint(folder)


def test_progress_counts_every_file(folder):
    (folder / "bad.png").write_text("bad")
    told = []
    build_manifest(folder, progress=lambda done, total: told.append((done, total)))
    assert told == [(done, 21) for done in range(1, 22)]


def test_a_written_manifest_reads_back(folder, tmp_path):
    (folder / "bad.png").write_text("bad")
    manifest = build_manifest(folder)
    write_manifest(manifest, tmp_path / "written")
    read = read_manifest(tmp_path / "written")
    pd.testing.assert_frame_equal(read.files, manifest.files)
    assert (read.unreadable, read.fingerprint) == (manifest.unreadable, manifest.fingerprint)


def test_a_manifest_of_the_first_version_reads_too(folder, tmp_path):
    write_manifest(build_manifest(folder), tmp_path / "written")
    path = tmp_path / "written" / "manifest.json"
    about = json.loads(path.read_text())
    path.write_text(json.dumps({key: about[key] for key in ("fingerprint", "unreadable")}))
    read = read_manifest(tmp_path / "written")
    assert (read.metadata_damaged, read.foreign, read.ignored) == ((), (), {})


def test_class_is_the_first_level_folder(folder, picture, save):
    save(picture(50), folder / "cat" / "deep" / "deeper" / "x.webp")
    assert rows_of(folder).loc["cat/deep/deeper/x.webp", "label_name"] == "cat"


def test_classes_and_names_keep_their_case_and_their_letters(folder, picture, save):
    save(picture(50), folder / "Cat" / "x.png")
    save(picture(51), folder / "ćwikła" / "猫 🐈.png")
    rows = rows_of(folder)
    assert set(rows["label_name"]) == {"cat", "Cat", "dog", "ćwikła"}
    assert rows.loc["ćwikła/猫 🐈.png", "label_name"] == "ćwikła"


def test_a_name_that_is_not_utf8_is_named(folder):
    os.rename(folder / "cat" / "01.png", os.fsencode(folder) + b"/cat/\xe9t\xe9.png")
    with pytest.raises(UserError, match=r"cat/\\udce9t\\udce9\.png.*rename") as error:
        build_manifest(folder)
    assert "\n" not in str(error.value)


def damage(folder, picture, save):
    """A truncated JPEG and text that calls itself PNG."""
    path = save(picture(100, (200, 200)), folder / "cat" / "truncated.jpg")
    path.write_bytes(path.read_bytes()[:5000])
    (folder / "dog" / "text.png").write_text("hello")


def test_unreadable_files_are_listed_with_a_reason(folder, picture, save):
    damage(folder, picture, save)
    manifest = build_manifest(folder)
    reasons = {file.path: file.reason for file in manifest.unreadable}
    assert set(reasons) == {"cat/truncated.jpg", "dog/text.png"}
    assert "truncated" in reasons["cat/truncated.jpg"]
    assert "cannot identify" in reasons["dog/text.png"]
    assert len(manifest.files) == 20


@pytest.mark.parametrize(
    ("size", "reason"), [((9480, 9480), "89870400 pixels"), ((1, 101), "too long a strip")]
)
def test_images_that_would_fill_the_memory_are_unreadable(tmp_path, save, size, reason):
    save(Image.new("1", size), tmp_path / "large.png")
    save(Image.new("1", (1, 100)), tmp_path / "strip.png")
    manifest = build_manifest(tmp_path)
    (file,) = manifest.unreadable
    assert file.path == "large.png"
    assert reason in file.reason
    assert list(manifest.files["path"]) == ["strip.png"]


def test_32_bit_pixels_are_unreadable(tmp_path, picture, save):
    save(picture(0), tmp_path / "good.png")
    save(Image.new("F", (8, 8), 0.5), tmp_path / "float.tiff")
    (file,) = build_manifest(tmp_path).unreadable
    assert file.path == "float.tiff"
    assert "32-bit" in file.reason


def test_threshold_of_unreadable_files_is_that_of_the_whole_folder(folder, picture, save):
    damage(folder, picture, save)
    for name in ("train", "validation"):
        assert len(split(folder, name, max_unreadable=2 / 22)) > 1
        with pytest.raises(UserError, match=r"2 of 22 .*cat/truncated.*dog/text\.png") as error:
            split(folder, name, max_unreadable=0.09)
        assert str(folder) in str(error.value)


def test_only_the_first_three_unreadable_files_are_named(folder):
    for index in range(5):
        (folder / f"bad{index}.png").write_text("bad")
    with pytest.raises(UserError, match=r"5 of 25 .*bad2\.png") as error:
        split(folder, "train", max_unreadable=0)
    assert "bad3.png" not in str(error.value)


def test_all_unreadable_stops_whatever_the_threshold(tmp_path):
    (tmp_path / "a.png").write_text("bad")
    with pytest.raises(UserError, match="1 of 1"):
        split(tmp_path, "train", max_unreadable=1.0)


def test_missing_folder_and_folder_without_images(tmp_path):
    with pytest.raises(UserError, match=r"nowhere.*does not exist"):
        build_manifest(tmp_path / "nowhere")
    (tmp_path / "readme.txt").write_text("")
    with pytest.raises(UserError, match="has no images"):
        build_manifest(tmp_path)


def test_a_file_that_is_gone_is_not_an_unreadable_image(folder):
    (folder / "gone.png").symlink_to(folder / "nothing.png")
    with pytest.raises(UserError, match=r"cannot open .*gone\.png: No such file"):
        build_manifest(folder)


def test_calibration_images_are_taken_from_the_validation_images(folder):
    divided = partial(splits, folder, validation_fraction=0.7)
    without, half = divided(), divided(calibration_fraction=0.5)
    assert half["train"] == without["train"]
    assert half["calibration"] | half["validation"] == without["validation"]
    assert min(len(half["calibration"]), len(half["validation"])) >= 2
    assert half["calibration"] < divided(calibration_fraction=0.7)["calibration"]


def test_copies_of_a_file_lie_on_one_side_whatever_their_names(folder):
    for source in list(folder.rglob("*.png")):
        shutil.copy(source, folder / "cat" / f"copy_of_{source.parent.name}_{source.name}")
    train, validation = (
        set(split(folder, name, validation_fraction=0.5)["file_sha256"])
        for name in ("train", "validation")
    )
    assert train.isdisjoint(validation)
    assert len(train | validation) == 20


def test_validation_fraction(folder):
    counts = [
        len(split(folder, "validation", validation_fraction=fraction)) for fraction in (0.2, 0.8)
    ]
    assert counts[0] < 10 < counts[1]


@pytest.mark.parametrize(
    ("settings", "name", "count"),
    [
        ({"validation_fraction": 1.0e-9}, "validation", 0),
        ({"validation_fraction": 0.999}, "train", 0),
        ({"validation_fraction": 0.8, "calibration_fraction": 0.001}, "calibration", 0),
        ({"validation_fraction": 0.8, "calibration_fraction": 0.999}, "validation", 0),
    ],
)
@pytest.mark.parametrize("read", ["train", "validation"])
def test_whichever_split_is_read_an_empty_one_is_named(folder, settings, name, count, read):
    with pytest.raises(UserError, match=f"its {name} split has {count} of the 20 images") as it:
        split(folder, read, **settings)
    assert str(folder) in str(it.value)
    assert "\n" not in str(it.value)


def test_a_calibration_split_is_missed_only_where_it_is_asked_for(folder):
    assert len(split(folder, "train")) > 1
    with pytest.raises(UserError, match="calibration split has 0 of the 20"):
        split(folder, "calibration")


def test_one_validation_image_is_too_few_to_judge_by(tmp_path, picture, save):
    save(picture(0), tmp_path / "train" / "a.png")
    save(picture(1), tmp_path / "val" / "b.png")
    with pytest.raises(UserError, match="validation split has 1 of the 2"):
        split(tmp_path, "train")
    save(picture(2), tmp_path / "val" / "c.png")
    assert len(split(tmp_path, "train")) == 1


@pytest.mark.parametrize("name", ["val", "validation"])
def test_own_splits_of_a_folder(tmp_path, picture, save, name):
    save(picture(0), tmp_path / "train" / "cat" / "a.png")
    save(picture(1), tmp_path / name / "cat" / "b.png")
    save(picture(2), tmp_path / name / "c.png")
    save(picture(3), tmp_path / "test" / "cat" / "d.png")
    assert splits(tmp_path) == {
        "train": {"train/cat/a.png"},
        "validation": {f"{name}/cat/b.png", f"{name}/c.png"},
    }
    assert rows_of(tmp_path)["label_name"].to_dict() == {
        "train/cat/a.png": "cat",
        f"{name}/cat/b.png": "cat",
        f"{name}/c.png": ".",
    }


def test_splits_that_a_configuration_names(tmp_path, picture, save):
    for index in range(20):
        save(picture(index), tmp_path / "train" / "cat" / f"{index}.png")
        save(picture(20 + index), tmp_path / "test" / "cat" / f"{index}.png")
    named = build_manifest(tmp_path, SplitFolders(validation="test")).files
    assert set(zip(named["path"].str[:4], named["own_split"], strict=True)) == {
        ("trai", "train"),
        ("test", "validation"),
    }
    held_out = build_manifest(tmp_path, SplitFolders(train="train"))
    assert set(held_out.files["path"].str[:10]) == {"train/cat/"}
    assert set(held_out.files["label_name"]) == {"cat"}
    settings = {"validation_fraction": 0.3, "calibration_fraction": 0.0, "max_unreadable": 0.5}
    for name in ("train", "validation"):
        assert len(files_of_split(held_out, name, root=tmp_path, **settings)) > 1


def test_a_folder_named_train_alone_may_be_a_class(tmp_path, picture, save):
    save(picture(0), tmp_path / "train" / "a.png")
    files = build_manifest(tmp_path, SplitFolders(train=".")).files
    assert list(files[["label_name", "own_split"]].iloc[0]) == ["train", ""]


def test_damaged_metadata_are_listed(folder, picture, save):
    exif = Image.Exif()
    exif[0x0112] = 6
    path = save(picture(1), folder / "cat" / "turned.jpg", exif=exif)
    data = path.read_bytes()
    at = data.index(b"MM\0*") + 8
    path.write_bytes(data[:at] + b"\xff" * 8 + data[at + 8 :])
    manifest = build_manifest(folder)
    assert (manifest.metadata_damaged, manifest.unreadable) == (("cat/turned.jpg",), ())
    assert len(manifest.files) == 21


def test_linked_folders_are_followed_and_loops_are_not(folder, tmp_path, picture, save):
    save(picture(70), tmp_path / "elsewhere" / "x.png")
    (folder / "linked").symlink_to(tmp_path / "elsewhere")
    (folder / "cat" / "loop").symlink_to(folder)
    (folder / "itself").symlink_to(folder / "itself")
    paths = paths_of(folder)
    assert "linked/x.png" in paths
    assert len(paths) == 21


def test_folders_that_link_to_each_other_are_walked_once_on_every_way(folder):
    (folder / "cat" / "dogs").symlink_to(folder / "dog")
    (folder / "dog" / "cats").symlink_to(folder / "cat")
    paths = paths_of(folder)
    assert len(paths) == 4 * 10
    assert "cat/dogs/00.png" in paths
    assert "dog/cats/01.png" in paths
