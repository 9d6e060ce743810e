"""Whether a WebP file is lossless, from the chunks of its container (RFC 9649)."""

from __future__ import annotations

from typing import BinaryIO, Literal

MOST_CHUNKS = 64

Kind = Literal["lossless", "lossy", "animated"]
_TOLD: dict[bytes, Kind] = {b"VP8L": "lossless", b"VP8 ": "lossy", b"ANMF": "animated"}


def webp_kind(file: BinaryIO) -> Kind:
    """The kind by the first chunk of pixels; of a file without any, `lossy`.

    The file is read from its beginning, chunk headers alone.
    """
    place = 12  # After `RIFF`, a size and `WEBP`.
    for _ in range(MOST_CHUNKS):
        file.seek(place)
        header = file.read(8)
        if header[:4] in _TOLD:
            return _TOLD[header[:4]]
        if len(header) < 8:
            break
        size = int.from_bytes(header[4:], "little")
        place += 8 + size + size % 2
    return "lossy"
