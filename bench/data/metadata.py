"""Image files without their metadata, for those whose metadata are damaged."""

import struct
from collections.abc import Iterator

_PNG_KEPT = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"}
_JPEG_DROPPED = {*range(0xE1, 0xEE), 0xEF, 0xFE}  # APP1 to APP13, APP15, comments
_WEBP_DROPPED = {b"EXIF", b"XMP ", b"ICCP"}
_WEBP_FLAGS = 0x20 | 0x08 | 0x04  # of the same three
_TIFF_DROPPED = {700, 33723, 34377, 34665, 34675, 34853}  # XMP, IPTC, Photoshop, EXIF, ICC, GPS


def without_metadata(data: bytes) -> bytes | None:
    """The same pixels without EXIF, ICC, XMP and texts; None where there is nothing to take away.

    Reads PNG, JPEG, WebP and TIFF; all others are left alone.
    """
    try:
        if data.startswith(b"\x89PNG\r\n\x1a\n"):
            plain = b"".join(_png_chunks(data))
        elif data.startswith(b"\xff\xd8"):
            plain = b"".join(_jpeg_segments(data))
        elif data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            body = b"".join(_webp_chunks(data))
            plain = b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body
        elif data[:4] in (b"II*\0", b"MM\0*"):
            plain = _tiff(data)
        else:
            return None
    except (struct.error, IndexError):
        return None
    return plain if plain != data else None


def _png_chunks(data: bytes) -> Iterator[bytes]:
    yield data[:8]
    at = 8
    while at < len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        if kind in _PNG_KEPT:
            yield data[at : at + 12 + length]
        at += 12 + length


def _jpeg_segments(data: bytes) -> Iterator[bytes]:
    yield data[:2]
    at = 2
    while data[at] == 0xFF and data[at + 1] != 0xDA:
        (length,) = struct.unpack_from(">H", data, at + 2)
        if data[at + 1] not in _JPEG_DROPPED:
            yield data[at : at + 2 + length]
        at += 2 + length
    yield data[at:]


def _webp_chunks(data: bytes) -> Iterator[bytes]:
    at = 12
    while at + 8 <= len(data):
        kind, length = struct.unpack_from("<4sI", data, at)
        chunk = data[at : at + 8 + length + length % 2]
        if kind == b"VP8X":
            chunk = chunk[:8] + bytes([chunk[8] & ~_WEBP_FLAGS]) + chunk[9:]
        if kind not in _WEBP_DROPPED:
            yield chunk
        at += 8 + length + length % 2


def _tiff(data: bytes) -> bytes:
    """Tags of metadata in the first page become the number 0; all offsets stay."""
    plain = bytearray(data)
    order = "<" if data[:2] == b"II" else ">"
    (start,) = struct.unpack_from(f"{order}I", data, 4)
    (count,) = struct.unpack_from(f"{order}H", data, start)
    for at in range(start + 2, start + 2 + 12 * count, 12):
        (tag,) = struct.unpack_from(f"{order}H", data, at)
        if tag in _TIFF_DROPPED:
            struct.pack_into(f"{order}HII", plain, at + 2, 4, 1, 0)
    return bytes(plain)
