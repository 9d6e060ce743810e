import io
import os
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from bench.data.decoding import decode, load_image

ORIENTATION = 0x0112


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


FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "AVIF")


def turned(kind, orientation):
    """A file of 32 x 16, white above and black below; shown as `orientation` says."""
    image = Image.new("RGB", (32, 16), "black")
    image.paste("white", (0, 0, 32, 8))
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    out = io.BytesIO()
    image.save(out, kind, exif=exif, **({"lossless": True} if kind == "WEBP" else {}))
    return out.getvalue()


def white_side(pixels):
    sides = {
        "top": pixels[:4],
        "bottom": pixels[-4:],
        "left": pixels[:, :4],
        "right": pixels[:, -4:],
    }
    return {name for name, side in sides.items() if side.min() > 250}


@pytest.mark.parametrize("kind", FORMATS)
def test_exif_orientation_is_applied(kind):
    sides = ["top", "top", "bottom", "bottom", "left", "right", "right", "left"]
    for orientation, side in enumerate(sides, start=1):
        decoded = decode(io.BytesIO(turned(kind, orientation)))
        assert decoded.image.size == ((32, 16) if orientation < 5 else (16, 32))
        assert white_side(np.asarray(decoded.image)) == {side}
        assert not decoded.metadata_damaged


def damaged_exif(kind):
    """The same with a directory of metadata that ends nowhere."""
    data = turned(kind, 1)
    exif = data.index(b"MM\0*")
    data = data[: exif + 8] + b"\xff" * 8 + data[exif + 16 :]
    if kind == "PNG":  # and a checksum that is right, as other programs leave it
        at = data.index(b"eXIf")
        (length,) = struct.unpack(">I", data[at - 4 : at])
        checksum = struct.pack(">I", zlib.crc32(data[at : at + 4 + length]))
        data = data[: at + 4 + length] + checksum + data[at + 8 + length :]
    return data


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_damaged_exif_costs_no_pixels(kind):
    decoded = decode(io.BytesIO(damaged_exif(kind)))
    assert decoded.image.size == (32, 16)
    assert white_side(np.asarray(decoded.image)) == {"top"}
    assert decoded.metadata_damaged


def with_chunk(data, kind, content, checksum=None):
    """A PNG with a chunk more, before its pixels."""
    at = data.index(b"IDAT") - 4
    checksum = zlib.crc32(kind + content) if checksum is None else checksum
    packed = struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)
    return data[:at] + packed + data[at:]


@pytest.mark.parametrize(
    ("kind", "content", "checksum"),
    [
        (b"iCCP", b"name\0\0no zlib", None),
        (b"iCCP", b"name\0\7" + zlib.compress(b"profile"), None),
        (b"tEXt", b"Comment\0hello", 1),
        (b"zTXt", b"Comment\0\0" + zlib.compress(bytes(2**21)), None),
        (b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0no zlib", None),
        (b"pHYs", b"short", None),
        (b"cHRM", b"", None),
    ],
)
def test_damaged_chunks_of_a_png_cost_no_pixels(kind, content, checksum):
    data = with_chunk(turned("PNG", 1), kind, content, checksum)
    assert white_side(np.asarray(decode(io.BytesIO(data)).image)) == {"top"}


def test_a_damaged_directory_of_a_tiff_costs_no_pixels():
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9003] = "2020:01:01 00:00:00"
    out = io.BytesIO()
    image = Image.new("RGB", (16, 16), "red")
    image.save(out, "TIFF", exif=exif, compression="tiff_deflate")
    data = bytearray(out.getvalue())
    (start,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, start)
    for at in range(start + 2, start + 2 + 12 * count, 12):
        if struct.unpack_from("<H", data, at)[0] == 0x8769:
            struct.pack_into("<I", data, at + 8, len(data) - 3)
            break
    assert (np.asarray(decode(io.BytesIO(bytes(data))).image) == [255, 0, 0]).all()


def test_a_damaged_profile_of_a_jpeg_costs_no_pixels():
    data = turned("JPEG", 1)
    profile = b"ICC_PROFILE\0\1\1" + bytes(range(50))
    segment = b"\xff\xe2" + struct.pack(">H", 2 + len(profile)) + profile
    pictures = b"MPF\0" + bytes(range(40))
    other = b"\xff\xe2" + struct.pack(">H", 2 + len(pictures)) + pictures
    decoded = decode(io.BytesIO(data[:2] + segment + other + data[2:]))
    assert white_side(np.asarray(decoded.image)) == {"top"}


def test_a_file_is_known_by_its_content(tmp_path, picture, save):
    path = tmp_path / "picture.txt"
    save(picture(1), path, format="PNG")
    np.testing.assert_array_equal(np.asarray(decode(path).image), np.asarray(picture(1)))


def test_what_is_no_regular_file_is_not_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(OSError, match="not a regular file"):
        decode(tmp_path / "pipe.png")


def test_first_frame_of_an_animation(tmp_path, save):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    out = io.BytesIO()
    frames[0].save(out, "GIF", save_all=True, append_images=frames[1:])
    (tmp_path / "a.gif").write_bytes(out.getvalue())
    pixels = load_image(tmp_path / "a.gif", resolution=8)
    np.testing.assert_array_equal(pixels[:, 0, 0], [255, 0, 0])
