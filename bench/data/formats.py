"""The image formats that are read, known by a file's first bytes, whatever its name.

The list is fixed: none of them starts another program, as PostScript would.
"""

import re

FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "GIF", "BMP", "AVIF", "PPM", "JPEG2000")
SUFFIXES = frozenset(
    {
        *(".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".tif", ".tiff", ".gif"),
        *(".bmp", ".avif", ".avifs", ".pbm", ".pgm", ".ppm", ".pnm", ".jp2", ".j2k", ".jpx"),
    }
)
# Images by their name, of formats that are not read; many of the cameras' look like TIFF inside.
FOREIGN_SUFFIXES = frozenset(
    {
        *(".heic", ".heif", ".hif", ".jxl", ".jxr", ".svg", ".svgz", ".eps", ".ps", ".wmf", ".emf"),
        *(".psd", ".psb", ".xcf", ".ico", ".icns", ".cur", ".tga", ".dds", ".exr", ".hdr", ".pcx"),
        *(".sgi", ".ras", ".xbm", ".xpm", ".pfm", ".pam", ".qoi", ".fits", ".fit", ".fts", ".dib"),
        *(".mng", ".pict", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2", ".raf", ".pef"),
        *(".srw", ".raw"),
    }
)
HEADER_BYTES = 512

_SIGNATURES = {
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"GIF87a": "GIF",
    b"GIF89a": "GIF",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"II+\0": "TIFF",
    b"MM\0+": "TIFF",
    b"\0\0\0\x0cjP  \r\n\x87\n": "JPEG2000",
    b"\xff\x4f\xff\x51": "JPEG2000",
}
_BMP_HEADERS = (12, 40, 52, 56, 64, 108, 124)
_PPM = re.compile(rb"P[1-6]\s(?:\s|#[^\n]*\n)*\d+\s(?:\s|#[^\n]*\n)*\d+\s")


def format_of(header: bytes) -> str | None:
    """The format of a file that begins with these `HEADER_BYTES`; None where it is no image."""
    for signature, name in _SIGNATURES.items():
        if header.startswith(signature):
            return name
    if header[:4] == b"RIFF" and header[8:12] == b"WEBP":
        return "WEBP"
    if header[:2] == b"BM" and int.from_bytes(header[14:18], "little") in _BMP_HEADERS:
        return "BMP"
    if header[4:8] == b"ftyp" and _brands(header) & {b"avif", b"avis"}:
        return "AVIF"
    return "PPM" if _PPM.match(header) else None


def _brands(header: bytes) -> set[bytes]:
    """Kinds that a file of ISO boxes says it is: the major brand and the compatible ones."""
    box = header[8 : int.from_bytes(header[:4], "big")]
    return {box[at : at + 4] for at in range(0, len(box), 4)}
