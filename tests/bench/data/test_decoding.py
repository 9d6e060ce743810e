import io

import numpy as np
import pytest
from PIL import Image

from bench.data.decoding import decode, load_image


def test_shorter_side_is_resized_bicubically_and_the_centre_kept(tmp_path, picture, save):
    image = picture(1, (40, 64))
    expected = image.resize((16, 25), Image.Resampling.BICUBIC).crop((0, 4, 16, 20))
    pixels = load_image(save(image, tmp_path / "a.png"), resolution=16)
    np.testing.assert_array_equal(pixels, np.asarray(expected).transpose(2, 0, 1))
    assert pixels.flags.c_contiguous


def test_small_images_are_enlarged(tmp_path, picture, save):
    assert load_image(save(picture(1, (5, 9)), tmp_path / "a.png"), resolution=16).shape == (
        3,
        16,
        16,
    )


def test_transparency_is_composited_over_white(tmp_path, save):
    image = Image.new("RGBA", (8, 8), (255, 0, 0, 0))
    image.paste((255, 0, 0, 255), (0, 0, 4, 8))
    pixels = load_image(save(image, tmp_path / "a.png"), resolution=8)
    np.testing.assert_array_equal(pixels[:, 0, 0], [255, 0, 0])
    np.testing.assert_array_equal(pixels[:, 0, 7], [255, 255, 255])


def test_palette_transparency_is_composited_over_white(tmp_path, save):
    image = Image.new("P", (8, 8), 0)
    image.putpalette([10, 20, 30] * 256)
    path = save(image, tmp_path / "a.png", transparency=0)
    assert (load_image(path, resolution=8) == 255).all()


def test_exif_orientation_is_applied(tmp_path, save):
    image = Image.new("RGB", (32, 16), "black")
    image.paste("white", (0, 0, 32, 8))
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned a quarter clockwise: the white top becomes the right side
    path = save(image, tmp_path / "a.png", exif=exif)
    assert decode(path).image.size == (16, 32)
    pixels = load_image(path, resolution=16)
    assert (pixels[:, :, :8] == 0).all()
    assert (pixels[:, :, 8:] == 255).all()


@pytest.mark.parametrize("mode", ["L", "1", "P", "CMYK", "LA"])
def test_other_modes_become_rgb(tmp_path, mode, save):
    suffix = "tif" if mode == "CMYK" else "png"
    path = save(Image.new("L", (8, 8), 255).convert(mode), tmp_path / f"a.{suffix}")
    np.testing.assert_array_equal(load_image(path, resolution=8), np.full((3, 8, 8), 255))


def test_16_bit_greyscale_is_scaled(tmp_path, save):
    grey = Image.fromarray(np.full((8, 8), 0x8080, np.uint16))
    assert (load_image(save(grey, tmp_path / "a.png"), resolution=8) == 0x80).all()


def test_first_frame_of_an_animation(tmp_path, save):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    out = io.BytesIO()
    frames[0].save(out, "GIF", save_all=True, append_images=frames[1:])
    (tmp_path / "a.gif").write_bytes(out.getvalue())
    pixels = load_image(tmp_path / "a.gif", resolution=8)
    np.testing.assert_array_equal(pixels[:, 0, 0], [255, 0, 0])
