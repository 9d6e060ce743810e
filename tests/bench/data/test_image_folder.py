import os
import socket
import struct
import zlib

import pytest
from PIL import Image

from bench.data.fingerprint import fingerprint
from bench.data.formats import FORMATS
from bench.data.image_folder import AS_FOUND, SplitFolders, all_images, list_images
from bench.data.manifest import build_manifest
from bench.errors import UserError


@pytest.fixture
def tree(tmp_path, picture, save):
    """`tree(*paths)`: a folder with an image at each of these paths."""

    def tree(*paths):
        for number, path in enumerate(paths):
            save(picture(number, (8, 8)), tmp_path / path, format="PNG")
        return tmp_path

    return tree


def splits_of(root, folders=AS_FOUND):
    return list_images(root, folders).splits


@pytest.mark.parametrize("train", ["train", "Train", "TRAIN"])
@pytest.mark.parametrize("validation", ["val", "valid", "validation", "Val", "VALIDATION"])
def test_folders_of_splits_are_known_in_any_case(tree, train, validation):
    root = tree(f"{train}/cat/a.png", f"{validation}/cat/b.png", "Test/cat/c.png", "more/d.png")
    (root / "stray.jpg").write_text("not read")
    listing = list_images(root)
    assert listing.splits == {train: "train", validation: "validation"}
    assert listing.paths == sorted([f"{train}/cat/a.png", f"{validation}/cat/b.png"])
    assert (listing.held_out, listing.beside) == ({"Test": 1}, ["more/", "stray.jpg"])
    assert listing.told() == [
        f"image folder {root}: {train}/ 1 to train, {validation}/ 1 to validate, "
        "Test/ 1, held out; 1 class; beside them, not read: more/, stray.jpg"
    ]


def test_a_folder_without_splits_is_told_by_its_classes(tree):
    root = tree("cat/a.png", "dog/b.png", "dog/deep/c.png")
    assert list_images(root).told() == [
        f"image folder {root}: 3 images, divided by content; 2 classes"
    ]


@pytest.mark.parametrize(
    ("paths", "doubt", "keys"),
    [
        (["train", "Train", "val"], "both Train and train", {"data.train_folder"}),
        (["train", "val", "validation"], "both val and validation", {"data.validation_folder"}),
        (["train", "val", "Val"], "both Val and val", {"data.validation_folder"}),
        (
            ["train", "test"],
            "has train and test, but no val",
            {"data.validation_folder: test", "data.train_folder: train", "data.train_folder: ."},
        ),
        (["train"], "has train, but no val", {"data.train_folder: train", "data.train_folder: ."}),
        (["val", "test"], "has val and test, but no train", {"data.train_folder"}),
        (["valid"], "has valid, but no train", {"data.train_folder"}),
        (["test", "cat"], "has test, but no train", {"data.train_folder"}),
    ],
)
def test_splits_in_doubt_are_asked_about(tree, paths, doubt, keys):
    root = tree(*(f"{path}/a.png" for path in paths))
    for read in (list_images, fingerprint, build_manifest):
        with pytest.raises(UserError) as error:
            read(root)
        assert f"{root} {doubt.removeprefix('has ')}" in str(error.value).replace(" has ", " ")
        assert all(key in str(error.value) for key in keys)
        assert "\n" not in str(error.value)


def test_a_configuration_settles_the_splits(tree):
    root = tree("train/a.png", "test/b.png", "test/c.png")
    assert splits_of(root, SplitFolders(validation="test")) == {
        "train": "train",
        "test": "validation",
    }
    alone = list_images(root, SplitFolders(train="train"))
    assert (alone.splits, alone.paths) == ({"train": ""}, ["train/a.png"])
    assert alone.held_out == {"test": 2}
    classes = list_images(root, SplitFolders(train="."))
    assert (classes.splits, len(classes.paths)) == ({}, 3)
    assert {classes.class_of(path) for path in classes.paths} == {"train", "test"}


def test_a_configuration_comes_before_the_names(tree):
    root = tree("train/a.png", "val/b.png", "fold1/c.png")
    assert splits_of(root, SplitFolders(train="fold1")) == {"fold1": "train", "val": "validation"}
    assert splits_of(root, SplitFolders("train", "train")) == {"train": ""}
    assert splits_of(root, SplitFolders(train=".")) == {}
    assert splits_of(root) == {"train": "train", "val": "validation"}


def test_a_folder_that_a_configuration_names_has_to_be_there(tree):
    root = tree("train/a.png", "val/b.png")
    with pytest.raises(UserError, match=r"data\.validation_folder: .*'vall'.*did you mean 'val'"):
        list_images(root, SplitFolders(validation="vall"))
    with pytest.raises(UserError, match=r"data\.train_folder"):
        list_images(root, SplitFolders(train="cat"))


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def plain_png(number, bits=8, *extra):
    """One pixel, uncompressed: the same bytes with any zlib."""
    header = struct.pack(">IIBBBBB", 1, 1, bits, 0, 0, 0, 0)
    pixels = zlib.compress(bytes([0] + [number] * max(bits // 8, 1)), 0)
    chunks = [(b"IHDR", header), *extra, (b"IDAT", pixels), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*each) for each in chunks)


def fixed(root, *paths):
    for number, path in enumerate(paths):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(plain_png(number))
    return root


@pytest.mark.parametrize(
    ("paths", "first_version"),
    [
        (["cat/a.png", "cat/b.PNG", "dog/c.png"], "8c49ffb4de27c7b5"),
        (
            ["train/cat/a.png", "train/dog/b.png", "val/cat/c.png", "test/d.png"],
            "26301b9d4de58854",
        ),
        (["train/a.png", "validation/b.png"], "b6fea9601136ce51"),
    ],
)
def test_fingerprints_are_those_of_the_first_version(tmp_path, paths, first_version):
    root = fixed(tmp_path, *paths)
    (root / "notes.txt").write_text("no image")
    (root / ".hidden.txt").write_text("no image")
    (root / "photo.heic").write_text("an image that is not read")
    assert fingerprint(root).startswith(first_version)
    assert build_manifest(root).fingerprint == fingerprint(root)


def test_a_tree_that_the_first_version_read_otherwise_goes_by_another_name(tmp_path):
    root = fixed(tmp_path, "Train/a.png", "Valid/b.png")
    as_classes = fingerprint(root, SplitFolders(train="."))
    assert as_classes.startswith("8f70e782dcf7607a")  # as the first version took it
    assert fingerprint(root) != as_classes
    exchanged = fingerprint(root, SplitFolders("Valid", "Train"))
    assert exchanged not in (fingerprint(root), as_classes)
    assert build_manifest(root, SplitFolders("Valid", "Train")).fingerprint == exchanged


def test_a_file_that_the_first_version_read_otherwise_goes_by_another_name(tmp_path, monkeypatch):
    def see_through(bits, colour):
        return plain_png(0, bits, (b"tRNS", struct.pack(">H", colour)))

    for data, same in (
        (plain_png(7, 16), True),
        (see_through(16, 0), False),
        (see_through(8, 3), True),
        (see_through(4, 0), True),
        (see_through(4, 3), False),
        (see_through(1, 1), True),
    ):
        (tmp_path / "a.png").write_bytes(data)
        today = fingerprint(tmp_path)
        assert build_manifest(tmp_path).fingerprint == today
        with monkeypatch.context() as context:
            context.setattr("bench.data.fingerprint.read_otherwise", lambda file: False)
            assert (fingerprint(tmp_path) == today) == same


def test_hidden_things_are_counted_and_not_looked_into(tree):
    root = tree(
        "cat/a.png",
        ".ipynb_checkpoints/a-checkpoint.png",
        "cat/.ipynb_checkpoints/a.png",
        "cat/._a.png",
        "__MACOSX/cat/a.png",
        ".train/a.png",
    )
    (root / "cat" / "Thumbs.db").write_bytes(b"\xff\xd8\xff")
    (root / "desktop.ini").write_text("")
    os.mkfifo(root / ".pipe.png")
    listing = list_images(root)
    assert listing.paths == ["cat/a.png"]
    assert listing.ignored == {"hidden": 8}
    assert listing.told()[0].endswith("1 image, divided by content; 1 class; ignored: hidden 8")


def test_images_are_known_by_content_or_suffix(tree, picture, save):
    root = tree("a.png", "b", "c.txt", "d.jfif", "e.heic")
    save(picture(7), root / "f.avif")
    (root / "g.JPEG").write_text("no JPEG at all")
    for name in ("h.heic", "i.SVG", "j.nef"):
        (root / name).write_bytes(b"II*\0 or whatever")
    (root / "k.csv").write_text("P1 30 patients\n")
    (root / "l.md").write_text("BM is a bitmap's beginning, and this is none")
    listing = list_images(root)
    assert listing.paths == ["a.png", "b", "c.txt", "d.jfif", "e.heic", "f.avif", "g.JPEG"]
    assert listing.foreign == ["h.heic", "i.SVG", "j.nef"]
    assert listing.ignored == {"other files": 2}
    assert "3 files" in listing.told()[1]
    assert "h.heic, i.SVG, j.nef" in listing.told()[1]
    manifest = build_manifest(root)
    assert len(manifest.files) == 6
    assert [file.path for file in manifest.unreadable] == ["g.JPEG"]
    assert (manifest.foreign, manifest.ignored) == (tuple(listing.foreign), listing.ignored)


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_is_found_without_a_suffix(tmp_path, picture, kind):
    picture(0, (32, 32)).save(tmp_path / "image", format=kind)
    assert list_images(tmp_path).paths == ["image"]
    assert len(build_manifest(tmp_path).files) == 1


def test_formats_of_other_programs_are_no_images(tmp_path, picture):
    picture(0).save(tmp_path / "a.png")
    Image.new("RGB", (4, 4)).save(tmp_path / "b", format="EPS")
    Image.new("RGB", (4, 4)).save(tmp_path / "c.png", format="EPS")
    manifest = build_manifest(tmp_path)
    assert list(manifest.files["path"]) == ["a.png"]
    assert [file.path for file in manifest.unreadable] == ["c.png"]
    assert manifest.ignored == {"other files": 1}


def test_pipes_sockets_and_devices_are_never_opened(tree):
    root = tree("a.png")
    os.mkfifo(root / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        here = os.getcwd()
        os.chdir(root)  # a socket's path is short
        server.bind("socket")
        os.chdir(here)
    (root / "null").symlink_to("/dev/null")
    (root / "nothing").symlink_to(root / "nowhere")
    assert list_images(root).paths == ["a.png"]
    assert list_images(root).ignored == {"links and devices that are no files": 4}
    for target in ("/dev/zero", root / "pipe", root / "nowhere"):
        link = root / "b.png"
        link.symlink_to(target)
        for read in (list_images, all_images, fingerprint, build_manifest):
            with pytest.raises(UserError, match=r"cannot open .*b\.png"):
                read(root)
        link.unlink()


def test_what_is_held_out_stops_nothing(tree):
    root = tree("train/a.png", "val/b.png", "test/c.png")
    (root / "test" / "gone.png").symlink_to(root / "nowhere")
    assert list_images(root).held_out == {"test": 1}


def test_linked_folders_from_elsewhere_are_read_and_counted(tree, tmp_path_factory, picture):
    root, elsewhere = tree("cat/a.png"), tmp_path_factory.mktemp("elsewhere")
    picture(1).save(elsewhere / "b.png")
    (root / "dog").symlink_to(elsewhere)
    (root / "cat2").symlink_to(root / "cat")
    listing = list_images(root)
    assert listing.paths == ["cat/a.png", "cat2/a.png", "dog/b.png"]
    assert listing.linked == 1
    assert "1 linked folder from out of the tree" in listing.told()[0]


def test_circles_are_counted(tree):
    root = tree("cat/a.png")
    (root / "cat" / "loop").symlink_to(root)
    (root / "itself").symlink_to(root / "itself")
    assert list_images(root).ignored == {
        "links in a circle": 1,
        "links and devices that are no files": 1,
    }


def test_links_that_multiply_folders_are_refused(tmp_path, picture):
    for level in range(20):
        folder = tmp_path / f"level{level:02}"
        folder.mkdir()
        for name in "ab":
            (folder / name).symlink_to(tmp_path / f"level{level + 1:02}")
    (tmp_path / "level20").mkdir()
    picture(0).save(tmp_path / "level20" / "a.png")
    with pytest.raises(UserError, match="links lead to the same folders"):
        list_images(tmp_path)


@pytest.fixture
def deep(tmp_path, monkeypatch):
    """A folder in 1200 others; nothing that calls itself can take them away again."""
    monkeypatch.chdir(tmp_path)
    for _ in range(1200):
        os.mkdir("d")
        os.chdir("d")
    yield tmp_path
    for _ in range(1200):
        os.chdir("..")
        os.rmdir("d")


def test_a_tree_may_be_deep(deep, picture):
    picture(0).save(deep / "a.png")
    assert list_images(deep).paths == ["a.png"]


def test_a_folder_of_foreign_images_only_says_so(tmp_path):
    (tmp_path / "a.heic").write_text("")
    with pytest.raises(UserError, match=r"has no images; .*a\.heic"):
        list_images(tmp_path)
