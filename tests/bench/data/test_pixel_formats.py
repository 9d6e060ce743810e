"""Files of known pixels, in every format and depth: read within 2 levels, or refused by name."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from bench.data.decoding import RefusedImage, decode, reason_of

TOLERANCE = 2
LOSSY = 8
RGB = np.array([[[250, 10, 30], [0, 128, 255]], [[7, 200, 90], [255, 255, 255]]], np.uint8)
GREY = np.array([[0, 60], [131, 255]], np.uint8)
DEEP = np.array([[0, 15420], [33667, 65535]], np.uint16)  # GREY in 16 bits
ALPHA = np.array([[255, 0], [128, 64]], np.uint8)


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(rows, bits, colour, *extra):
    """A PNG of rows of packed samples."""
    width = len(rows[0]) * 8 // bits // {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    header = struct.pack(">IIBBBBB", width, len(rows), bits, colour, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + row for row in rows))
    chunks = [(b"IHDR", header), *extra, (b"IDAT", data), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*each) for each in chunks)


def deep_png(array, colour, *extra):
    """A PNG of 16-bit samples."""
    return png([row.astype(">u2").tobytes() for row in array], 16, colour, *extra)


def transparent(*colour):
    return (b"tRNS", struct.pack(f">{len(colour)}H", *colour))


def tiff(data, size, bits, photometric, *, order="<", compressed=False, strips=1, **tags):
    """A TIFF of packed samples in equal strips; `bits` of each sample, other tags as `t339=2`."""
    width, height = size
    data = zlib.compress(data) if compressed else data
    entries = {
        **{256: width, 257: height, 259: 8 if compressed else 1, 262: photometric},
        **{277: len(bits), 278: height, 279: (len(data) // strips,) * strips, 258: bits},
        **{int(name[1:]): value for name, value in tags.items()},
    }
    count = len(entries) + 1
    extra_at = 8 + 2 + 12 * count + 4
    extra, body = b"", b""
    strip_at = (
        extra_at + 4 * sum(len(v) for v in entries.values() if isinstance(v, tuple)) + 4 * strips
    )
    strip_offsets = tuple(strip_at + each * (len(data) // strips) for each in range(strips))
    for tag, value in sorted({**entries, 273: strip_offsets}.items()):
        values = value if isinstance(value, tuple) else (value,)
        kind = "I" if tag in (273, 279) else "H"
        packed = struct.pack(f"{order}{len(values)}{kind}", *values)
        if len(packed) > 4:
            extra, packed = extra + packed, struct.pack(f"{order}I", extra_at + len(extra))
        body += struct.pack(f"{order}HHI", tag, 4 if kind == "I" else 3, len(values))
        body += packed.ljust(4, b"\0")
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}IH", 8, count)
    return (head + body + b"\0" * 4 + extra).ljust(strip_at, b"\0") + data


def saved(image, kind, **options):
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def large(array):
    """Each pixel as 16 x 16, so that lossy codecs keep it."""
    return Image.fromarray(array.repeat(16, 0).repeat(16, 1))


def grey(array):
    return np.stack([np.asarray(array, np.uint8)] * 3, -1)


def over_white(rgb, alpha):
    share = alpha[..., None] / 255
    return np.rint(rgb * share + 255 * (1 - share)).astype(np.uint8)


def deep(array):
    """8-bit samples in 16 bits."""
    return array.astype(np.uint16) * 257


def bmp(rows, size, bits, *, masks=(), palette=b"", kind=0):
    width, height = size
    head = 14 + 40 + 4 * len(masks) + len(palette)
    info = struct.pack("<IiiHHIIiiII", 40, width, -height, 1, bits, kind, 0, 0, 0, 0, 0)
    body = info + struct.pack(f"<{len(masks)}I", *masks) + palette
    return b"BM" + struct.pack("<IHHI", 0, 0, 0, head) + body + b"".join(rows)


def cmyk_jpeg(array, transform=None):
    """An Adobe CMYK JPEG; Pillow inverts as it saves. `transform` replaces the marker's."""
    image = Image.fromarray(array.repeat(16, 0).repeat(16, 1), "CMYK")
    data = saved(image, "JPEG", quality=100, subsampling=0)
    at = data.index(b"Adobe")
    return data if transform is None else data[: at + 11] + bytes([transform]) + data[at + 12 :]


def no_adobe(data):
    at = data.index(b"Adobe") - 4
    return data[:at] + data[at + 16 :]


PAL = np.array([[255, 0, 0], [0, 255, 0], [1, 2, 3], [200, 100, 50]], np.uint8)
LEVELS4 = grey([[0, 85], [170, 255]])
INDEX = [b"\x10", b"\xb0"]  # 2-bit samples 0 1 and 2 3, then padding
CMYK = np.array([[[0, 255, 255, 0], [255, 0, 0, 50]], [[10, 20, 30, 40], [0, 0, 0, 255]]], np.uint8)
CMYK_RGB = np.rint((255.0 - CMYK[..., :3]) * (255 - CMYK[..., 3:]) / 255).astype(np.uint8)
_YCC = np.asarray(Image.fromarray(CMYK[..., :3]).convert("YCbCr"))
YCCK = np.dstack([255 - _YCC, CMYK[..., 3]])  # Adobe's: the inks as if they were RGB
RGBA = np.dstack([RGB, ALPHA])
LA = np.dstack([GREY, ALPHA])
MADE = over_white(RGB, ALPHA)
GREY_MADE = over_white(grey(GREY), ALPHA)
BITS = np.array([[0, 255, 0, 255, 255, 255, 0, 0]], np.uint8)


def pack12(values):
    """12-bit samples, two in three bytes."""
    bits = "".join(f"{value:012b}" for value in values)
    bits = bits.ljust(-(-len(bits) // 8) * 8, "0")
    return int(bits, 2).to_bytes(len(bits) // 8, "big")


def two(rows):
    """2 x 2 samples of 2 bits, a row in a byte, as a PNG's and a TIFF's rows are."""
    return [bytes([(a << 6) | (b << 4)]) for a, b in rows]


def png2(colour, *extra):
    data = png([b"\0", b"\0"], 2, colour, *extra)
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 2, 2, 2, colour, 0, 0, 0))
    rows = zlib.compress(b"".join(b"\0" + row for row in two([(0, 1), (2, 3)])))
    return (
        data[:8]
        + header
        + b"".join(chunk(*each) for each in extra)
        + chunk(b"IDAT", rows)
        + chunk(b"IEND", b"")
    )


def deep_tiff(array, photometric=1, order="<", **tags):
    bits = (16,) * (array.shape[2] if array.ndim == 3 else 1)
    data = array.astype(f"{order}u2").tobytes()
    return tiff(data, (2, 2), bits, photometric, order=order, **tags)


LOSSLESS = {
    "png rgb": (saved(Image.fromarray(RGB), "PNG"), RGB),
    "png grey": (saved(Image.fromarray(GREY), "PNG"), grey(GREY)),
    "png rgba": (saved(Image.fromarray(RGBA), "PNG"), MADE),
    "png la": (saved(Image.fromarray(LA, "LA"), "PNG"), GREY_MADE),
    "png rgb, transparent colour": (
        saved(Image.fromarray(RGB), "PNG", transparency=(250, 10, 30)),
        np.where((RGB[0, 0] == RGB).all(-1, keepdims=True), 255, RGB),
    ),
    "png grey, transparent colour": (
        saved(Image.fromarray(GREY), "PNG", transparency=60),
        grey([[0, 255], [131, 255]]),
    ),
    "png 1 bit": (png([b"\x5c"], 1, 0), grey(BITS)),
    "png 1 bit, transparent black": (png([b"\x5c"], 1, 0, transparent(0)), grey(BITS * 0 + 255)),
    "png 1 bit, transparent white": (png([b"\x5c"], 1, 0, transparent(1)), grey(BITS)),
    "png 2 bits": (png2(0), LEVELS4),
    "png 2 bits, transparent colour": (png2(0, transparent(1)), grey([[0, 255], [170, 255]])),
    "png 4 bits": (png([b"\x05", b"\xaf"], 4, 0), grey([[0, 85], [170, 255]])),
    "png 4 bits, transparent colour": (
        png([b"\x05", b"\xaf"], 4, 0, transparent(5)),
        grey([[0, 255], [170, 255]]),
    ),
    "png 16-bit grey": (deep_png(DEEP, 0), grey(GREY)),
    "png 16-bit grey, transparent colour": (
        deep_png(DEEP, 0, transparent(15420)),
        grey([[0, 255], [131, 255]]),
    ),
    "png 16-bit grey, near the transparent colour": (
        deep_png(DEEP, 0, transparent(15421)),
        grey(GREY),
    ),
    "png 16-bit rgb": (deep_png(deep(RGB), 2), RGB),
    "png 16-bit rgba": (deep_png(deep(RGBA), 6), MADE),
    "png 16-bit la": (deep_png(deep(LA), 4), GREY_MADE),
    "png palette": (png2(3, (b"PLTE", PAL.tobytes())), PAL.reshape(2, 2, 3)),
    "png palette, transparent": (
        png2(3, (b"PLTE", PAL.tobytes()), (b"tRNS", bytes([0, 255, 128]))),
        over_white(PAL.reshape(2, 2, 3), np.array([[0, 255], [128, 255]])),
    ),
    "tiff rgb": (saved(Image.fromarray(RGB), "TIFF"), RGB),
    "tiff rgb, deflate": (saved(Image.fromarray(RGB), "TIFF", compression="tiff_deflate"), RGB),
    "tiff rgb, lzw": (saved(Image.fromarray(RGB), "TIFF", compression="tiff_lzw"), RGB),
    "tiff big endian": (tiff(RGB.tobytes(), (2, 2), (8, 8, 8), 2, order=">"), RGB),
    "tiff white is zero": (tiff(GREY.tobytes(), (2, 2), (8,), 0), grey(255 - GREY)),
    "tiff 1 bit": (tiff(b"\x5c", (8, 1), (1,), 1), grey(BITS)),
    "tiff 1 bit, white is zero": (tiff(b"\x5c", (8, 1), (1,), 0), grey(255 - BITS)),
    "tiff 2 bits": (tiff(b"".join(two([(0, 1), (2, 3)])), (2, 2), (2,), 1), LEVELS4),
    "tiff 2 bits, white is zero": (
        tiff(b"".join(two([(0, 1), (2, 3)])), (2, 2), (2,), 0),
        255 - LEVELS4,
    ),
    "tiff 4 bits": (tiff(b"\x05\xaf", (2, 2), (4,), 1), LEVELS4),
    "tiff 12 bits": (
        tiff(pack12([0, 964]) + pack12([2104, 4095]), (2, 2), (12,), 1),
        grey(GREY),
    ),
    "tiff 12 bits, odd width": (
        tiff(pack12([964]) + pack12([2104]), (1, 2), (12,), 1),
        grey([[60], [131]]),
    ),
    "tiff 12 bits, deflate": (
        tiff(pack12([0, 964]) + pack12([2104, 4095]), (2, 2), (12,), 1, compressed=True),
        grey(GREY),
    ),
    "tiff 16 bits": (deep_tiff(DEEP), grey(GREY)),
    "tiff 16 bits, big endian": (deep_tiff(DEEP, order=">"), grey(GREY)),
    "tiff 16 bits, white is zero": (deep_tiff(DEEP, 0), grey(255 - GREY)),
    "tiff 16 bits, white is zero, deflate": (deep_tiff(DEEP, 0, compressed=True), grey(255 - GREY)),
    "tiff 16 bits, big endian, deflate": (
        deep_tiff(DEEP, order=">", compressed=True),
        grey(GREY),
    ),
    "tiff 16-bit rgb": (deep_tiff(deep(RGB), 2), RGB),
    "tiff 16-bit rgb, big endian": (deep_tiff(deep(RGB), 2, order=">"), RGB),
    "tiff rgba": (tiff(RGBA.tobytes(), (2, 2), (8,) * 4, 2, t338=2), MADE),
    "tiff premultiplied rgba": (
        tiff(
            np.dstack([np.rint(RGB * (ALPHA[..., None] / 255)).astype(np.uint8), ALPHA]).tobytes(),
            *((2, 2), (8,) * 4, 2),
            t338=1,
        ),
        MADE,
    ),
    "tiff la": (tiff(LA.tobytes(), (2, 2), (8, 8), 1, t338=2), GREY_MADE),
    "tiff premultiplied la": (
        tiff(
            np.dstack([np.rint(GREY * (ALPHA / 255)).astype(np.uint8), ALPHA]).tobytes(),
            *((2, 2), (8, 8), 1),
            t338=1,
        ),
        GREY_MADE,
    ),
    "tiff rgb and something": (tiff(RGBA.tobytes(), (2, 2), (8,) * 4, 2, t338=0), RGB),
    "tiff planes": (
        tiff(RGB.transpose(2, 0, 1).tobytes(), (2, 2), (8,) * 3, 2, strips=3, t284=2),
        RGB,
    ),
    "tiff palette": (
        tiff(bytes([0, 1, 2, 3]), (2, 2), (8,), 3, t320=tuple(
            int(v) for v in np.pad(deep(PAL), ((0, 252), (0, 0))).T.reshape(-1)
        )),
        PAL.reshape(2, 2, 3),
    ),
    "tiff cmyk": (tiff(CMYK.tobytes(), (2, 2), (8,) * 4, 5), CMYK_RGB),
    "tiff 16-bit cmyk": (deep_tiff(deep(CMYK), 5), CMYK_RGB),
    "webp": (saved(Image.fromarray(RGB), "WEBP", lossless=True), RGB),
    "webp, transparent": (saved(Image.fromarray(RGBA), "WEBP", lossless=True, exact=True), MADE),
    "gif": (saved(Image.fromarray(PAL.reshape(2, 2, 3)), "GIF"), PAL.reshape(2, 2, 3)),
    "gif, transparent": (
        saved(Image.fromarray(GREY), "GIF", transparency=60),
        grey([[0, 255], [131, 255]]),
    ),
    "bmp": (saved(Image.fromarray(RGB), "BMP"), RGB),
    "bmp 1 bit": (bmp([b"\x5c\0\0\0"], (8, 1), 1, palette=b"\0\0\0\0\xff\xff\xff\0"), grey(BITS)),
    "bmp 32 bits, unused byte": (
        bmp([np.dstack([RGB[..., ::-1], np.zeros_like(GREY)]).tobytes()], (2, 2), 32),
        RGB,
    ),
    "bmp 555": (bmp([struct.pack("<HH", 31 << 10, 16)], (2, 1), 16), [[[255, 0, 0], [0, 0, 132]]]),
    "bmp 565": (
        bmp([struct.pack("<HH", 63 << 5, 31)], (2, 1), 16, masks=(63488, 2016, 31), kind=3),
        [[[0, 255, 0], [0, 0, 255]]],
    ),
    "pbm": (b"P4 8 1\n\x5c", grey(255 - BITS)),
    "pgm": (b"P5 2 2 255\n" + GREY.tobytes(), grey(GREY)),
    "pgm to 100": (b"P5 3 1 100\n" + bytes([0, 50, 100]), grey([[0, 128, 255]])),
    "pgm to 1000": (b"P5 2 1 1000\n" + struct.pack(">HH", 500, 1000), grey([[128, 255]])),
    "pgm 16 bits": (b"P5 2 2 65535\n" + DEEP.astype(">u2").tobytes(), grey(GREY)),
    "plain pgm 16 bits": (b"P2 2 2 65535\n0 15420 33667 65535\n", grey(GREY)),
    "ppm": (b"P6 2 2 255\n" + RGB.tobytes(), RGB),
    "ppm 16 bits": (b"P6 2 2 65535\n" + deep(RGB).astype(">u2").tobytes(), RGB),
    "jpeg 2000": (saved(Image.fromarray(RGB.repeat(16, 0).repeat(16, 1)), "JPEG2000"), RGB),
    "jpeg 2000 16 bits": (saved(large(DEEP), "JPEG2000"), grey(GREY)),
    "jpeg 2000 rgba": (saved(large(RGBA), "JPEG2000"), MADE),
}  # fmt: skip
NEAR = {
    "jpeg": (saved(large(RGB), "JPEG", quality=100, subsampling=0), RGB),
    "jpeg grey": (saved(large(GREY), "JPEG", quality=100), grey(GREY)),
    "jpeg cmyk of Adobe": (cmyk_jpeg(CMYK), CMYK_RGB),
    "jpeg ycck of Adobe": (cmyk_jpeg(YCCK, transform=2), CMYK_RGB),
    "avif": (saved(large(RGB), "AVIF", quality=100, subsampling="4:4:4"), RGB),
    "avif, transparent": (saved(large(RGBA), "AVIF", quality=100, subsampling="4:4:4"), MADE),
    "webp, lossy": (saved(large(grey(GREY)), "WEBP", quality=100), grey(GREY)),
}
REFUSED = {
    "png 16-bit rgb, transparent colour": (deep_png(deep(RGB), 2, transparent(1, 2, 3)), "16-bit"),
    "tiff 12 bits, big endian": (
        tiff(pack12([0, 964, 2104, 4095]), (4, 1), (12,), 1, order=">"),
        "of a kind that is not read",
    ),
    "tiff 12 bits in 16": (
        tiff(struct.pack("<4H", 0, 964, 2104, 4095), (2, 2), (12,), 1),
        "not packed",
    ),
    "tiff 10 bits": (tiff(bytes(6), (2, 2), (10,), 1), "of a kind that is not read"),
    "tiff 16 bits, white is zero, big endian": (
        deep_tiff(DEEP, 0, order=">"),
        "of a kind that is not read",
    ),
    "tiff signed 8 bits": (tiff(GREY.tobytes(), (2, 2), (8,), 1, t339=2), "signed"),
    "tiff signed 16 bits": (deep_tiff(DEEP, t339=2), "signed"),
    "tiff 32 bits": (tiff(bytes(16), (2, 2), (32,), 1), "32-bit"),
    "tiff lab": (tiff(bytes([255, 0, 0] * 4), (2, 2), (8,) * 3, 8), "Lab"),
    "tiff float": (saved(Image.new("F", (2, 2), 0.5), "TIFF"), "32-bit"),
    "tiff 16-bit planes": (
        deep_tiff(deep(RGB).transpose(2, 0, 1).reshape(2, 2, 3), 2, t284=2),
        "separate planes",
    ),
    "tiff thumbnail first": (tiff(RGB.tobytes(), (2, 2), (8,) * 3, 2, t254=1), "small copy"),
    "raw of a camera": (tiff(RGB.tobytes(), (2, 2), (8,) * 3, 2, t50706=(1, 4, 0, 0)), "DNG"),
    "jpeg cmyk of nobody": (no_adobe(cmyk_jpeg(CMYK)), "CMYK without"),
    "pfm": (b"Pf\n2 2\n-1.0\n" + np.zeros((2, 2), "<f4").tobytes(), "32-bit"),
    "postscript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "of a kind"),
}


def check(data, expected, tolerance):
    image = decode(io.BytesIO(data)).image
    assert image.mode == "RGB"
    pixels = np.asarray(image)
    expected = np.asarray(expected)
    if pixels.shape != expected.shape:
        pixels = pixels[8::16, 8::16]
    assert pixels.shape == expected.shape
    np.testing.assert_allclose(pixels.astype(int), expected.astype(int), atol=tolerance)


@pytest.mark.parametrize("name", LOSSLESS)
def test_lossless_files_have_the_pixels_that_they_were_made_of(name):
    check(*LOSSLESS[name], TOLERANCE)


@pytest.mark.parametrize("name", NEAR)
def test_lossy_files_have_nearly_the_pixels_that_they_were_made_of(name):
    check(*NEAR[name], LOSSY)


@pytest.mark.parametrize("name", REFUSED)
def test_pixels_that_are_not_read_are_refused_by_name(name):
    data, reason = REFUSED[name]
    with pytest.raises((RefusedImage, OSError)) as error:
        decode(io.BytesIO(data))
    assert reason in reason_of(error.value)
