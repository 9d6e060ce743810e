import io
import shutil

import numpy as np
import pytest
from PIL import Image

from bench.data.image_folder import build_manifest, fingerprint, load_image
from bench.errors import UserError


def picture(seed, size=(20, 30)):
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
    return Image.fromarray(pixels)


def save(image, path, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **options)
    return path


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "images"
    for index in range(20):
        save(picture(index), root / ("cat" if index % 2 else "dog") / f"{index:02d}.png")
    return root


def manifest_of(root, **changes):
    return build_manifest(root, **({"validation_fraction": 0.2, "max_unreadable": 0.5} | changes))


def test_manifest_lists_path_hash_size_and_class(folder):
    save(picture(99), folder / "ROOT.JPG")
    (folder / "notes.txt").write_text("not an image")
    files = manifest_of(folder).files
    assert list(files["path"]) == sorted(files["path"])
    assert len(files) == 21
    row = files.set_index("path").loc["cat/01.png"]
    data = (folder / "cat/01.png").read_bytes()
    assert (row["file_size"], row["width"], row["height"]) == (len(data), 20, 30)
    assert row["label_name"] == "cat"
    assert files.set_index("path").loc["ROOT.JPG", "label_name"] == "."


def test_class_is_the_first_level_folder(folder):
    save(picture(50), folder / "cat" / "deep" / "deeper" / "x.webp")
    files = manifest_of(folder).files.set_index("path")
    assert files.loc["cat/deep/deeper/x.webp", "label_name"] == "cat"


def damage(folder):
    """A truncated JPEG and text that calls itself PNG."""
    path = save(picture(100, (200, 200)), folder / "cat" / "truncated.jpg")
    path.write_bytes(path.read_bytes()[:5000])
    (folder / "dog" / "text.png").write_text("hello")


def test_unreadable_files_are_listed_with_a_reason(folder):
    damage(folder)
    manifest = manifest_of(folder)
    reasons = {file.path: file.reason for file in manifest.unreadable}
    assert set(reasons) == {"cat/truncated.jpg", "dog/text.png"}
    assert "truncated" in reasons["cat/truncated.jpg"]
    assert "cannot identify" in reasons["dog/text.png"]
    assert len(manifest.files) == 20


def test_threshold_of_unreadable_files(folder):
    damage(folder)
    assert len(manifest_of(folder, max_unreadable=2 / 22).unreadable) == 2
    with pytest.raises(UserError, match=r"2 of 22 .*cat/truncated\.jpg.*dog/text\.png") as error:
        manifest_of(folder, max_unreadable=0.09)
    assert str(folder) in str(error.value)


def test_only_the_first_three_unreadable_files_are_named(folder):
    for index in range(5):
        (folder / f"bad{index}.png").write_text("bad")
    with pytest.raises(UserError, match=r"5 of 25 .*bad2\.png") as error:
        manifest_of(folder, max_unreadable=0)
    assert "bad3.png" not in str(error.value)


def test_all_unreadable_stops_whatever_the_threshold(tmp_path):
    (tmp_path / "a.png").write_text("bad")
    with pytest.raises(UserError, match="1 of 1"):
        manifest_of(tmp_path, max_unreadable=1.0)


def test_missing_folder_and_folder_without_images(tmp_path):
    with pytest.raises(UserError, match=r"nowhere.*does not exist"):
        manifest_of(tmp_path / "nowhere")
    (tmp_path / "readme.txt").write_text("")
    with pytest.raises(UserError, match="has no images"):
        manifest_of(tmp_path)
    with pytest.raises(UserError, match="does not exist"):
        fingerprint(tmp_path / "nowhere")


def test_calibration_images_are_taken_from_the_validation_images(folder):
    def split(fraction):
        files = manifest_of(folder, validation_fraction=0.7, calibration_fraction=fraction).files
        return {name: set(rows["path"]) for name, rows in files.groupby("split")}

    without, half = split(0.0), split(0.5)
    assert set(without) == {"train", "validation"}
    assert half["train"] == without["train"]
    assert half["calibration"] | half["validation"] == without["validation"]
    assert min(len(half["calibration"]), len(half["validation"])) >= 2
    assert half["calibration"] < split(0.9)["calibration"]


def test_copies_of_a_file_lie_on_one_side_whatever_their_names(folder):
    for source in list(folder.rglob("*.png")):
        shutil.copy(source, folder / "cat" / f"copy_of_{source.parent.name}_{source.name}")
    files = manifest_of(folder, validation_fraction=0.5).files
    assert (files.groupby("file_sha256")["split"].nunique() == 1).all()
    assert set(files["split"]) == {"train", "validation"}


def test_validation_fraction(folder):
    shares = [
        (manifest_of(folder, validation_fraction=f).files["split"] == "validation").mean()
        for f in (0.01, 0.5, 0.99)
    ]
    assert shares[0] < 0.2 < shares[1] < 0.8 < shares[2]


@pytest.mark.parametrize("name", ["val", "validation"])
def test_own_splits_of_a_folder(tmp_path, name):
    save(picture(0), tmp_path / "train" / "cat" / "a.png")
    save(picture(1), tmp_path / name / "cat" / "b.png")
    save(picture(2), tmp_path / name / "c.png")
    save(picture(3), tmp_path / "test" / "cat" / "d.png")
    files = manifest_of(tmp_path).files.set_index("path")
    assert files["split"].to_dict() == {
        "train/cat/a.png": "train",
        f"{name}/cat/b.png": "validation",
        f"{name}/c.png": "validation",
    }
    assert files["label_name"].to_dict() == {
        "train/cat/a.png": "cat",
        f"{name}/cat/b.png": "cat",
        f"{name}/c.png": ".",
    }


def test_two_validation_folders_are_ambiguous(tmp_path):
    for name in ("train", "val", "validation"):
        save(picture(0), tmp_path / name / "a.png")
    with pytest.raises(UserError, match="both val and validation"):
        manifest_of(tmp_path)


def test_a_folder_named_train_alone_is_a_class(tmp_path):
    save(picture(0), tmp_path / "train" / "a.png")
    assert list(manifest_of(tmp_path).files["label_name"]) == ["train"]


def test_linked_folders_are_followed_and_loops_are_not(folder, tmp_path):
    save(picture(70), tmp_path / "elsewhere" / "x.png")
    (folder / "linked").symlink_to(tmp_path / "elsewhere")
    (folder / "cat" / "loop").symlink_to(folder)
    paths = list(manifest_of(folder).files["path"])
    assert "linked/x.png" in paths
    assert len(paths) == 21


def test_fingerprint_is_of_names_and_contents_not_of_the_place(folder, tmp_path):
    before = fingerprint(folder)
    assert fingerprint(str(shutil.copytree(folder, tmp_path / "moved"))) == before
    (folder / "notes.txt").write_text("not an image")
    assert fingerprint(folder) == before
    (folder / "cat" / "01.png").rename(folder / "cat" / "renamed.png")
    renamed = fingerprint(folder)
    save(picture(123), folder / "dog" / "00.png")
    assert len({before, renamed, fingerprint(folder)}) == 3


def test_fingerprint_of_a_file_that_cannot_be_opened(folder):
    (folder / "gone.png").symlink_to(folder / "nothing.png")
    with pytest.raises(UserError, match=r"gone\.png"):
        fingerprint(folder)


def test_shorter_side_is_resized_bicubically_and_the_centre_kept(tmp_path):
    image = picture(1, (40, 64))
    expected = image.resize((16, 25), Image.Resampling.BICUBIC).crop((0, 4, 16, 20))
    pixels = load_image(save(image, tmp_path / "a.png"), resolution=16)
    np.testing.assert_array_equal(pixels, np.asarray(expected).transpose(2, 0, 1))
    assert pixels.flags.c_contiguous


def test_small_images_are_enlarged(tmp_path):
    assert load_image(save(picture(1, (5, 9)), tmp_path / "a.png"), resolution=16).shape == (
        3,
        16,
        16,
    )


def test_transparency_is_composited_over_white(tmp_path):
    image = Image.new("RGBA", (8, 8), (255, 0, 0, 0))
    image.paste((255, 0, 0, 255), (0, 0, 4, 8))
    pixels = load_image(save(image, tmp_path / "a.png"), resolution=8)
    np.testing.assert_array_equal(pixels[:, 0, 0], [255, 0, 0])
    np.testing.assert_array_equal(pixels[:, 0, 7], [255, 255, 255])


def test_palette_transparency_is_composited_over_white(tmp_path):
    image = Image.new("P", (8, 8), 0)
    image.putpalette([10, 20, 30] * 256)
    path = save(image, tmp_path / "a.png", transparency=0)
    assert (load_image(path, resolution=8) == 255).all()


def test_exif_orientation_is_applied(tmp_path):
    image = Image.new("RGB", (32, 16), "black")
    image.paste("white", (0, 0, 32, 8))
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned a quarter clockwise: the white top becomes the right side
    path = save(image, tmp_path / "a.png", exif=exif)
    row = manifest_of(tmp_path).files.iloc[0]
    assert (row["width"], row["height"]) == (16, 32)
    pixels = load_image(path, resolution=16)
    assert (pixels[:, :, :8] == 0).all()
    assert (pixels[:, :, 8:] == 255).all()


@pytest.mark.parametrize("mode", ["L", "1", "P", "CMYK", "LA"])
def test_other_modes_become_rgb(tmp_path, mode):
    suffix = "tif" if mode == "CMYK" else "png"
    path = save(Image.new("L", (8, 8), 255).convert(mode), tmp_path / f"a.{suffix}")
    np.testing.assert_array_equal(load_image(path, resolution=8), np.full((3, 8, 8), 255))


def test_16_bit_greyscale_is_scaled(tmp_path):
    grey = Image.fromarray(np.full((8, 8), 0x8080, np.uint16))
    assert (load_image(save(grey, tmp_path / "a.png"), resolution=8) == 0x80).all()


def test_32_bit_pixels_are_unreadable(tmp_path):
    save(picture(0), tmp_path / "good.png")
    save(Image.new("F", (8, 8), 0.5), tmp_path / "float.tiff")
    (file,) = manifest_of(tmp_path).unreadable
    assert file.path == "float.tiff"
    assert "32-bit" in file.reason


def test_first_frame_of_an_animation(tmp_path):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    out = io.BytesIO()
    frames[0].save(out, "GIF", save_all=True, append_images=frames[1:])
    (tmp_path / "a.gif").write_bytes(out.getvalue())
    pixels = load_image(tmp_path / "a.gif", resolution=8)
    np.testing.assert_array_equal(pixels[:, 0, 0], [255, 0, 0])
