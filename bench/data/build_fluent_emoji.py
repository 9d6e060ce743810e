"""Rebuild the embedded emoji, `assets/fluent_emoji_64.zip`, from the npm package they come from.

    npm pack @lobehub/fluent-emoji-3d@1.1.0
    python -m bench.data.build_fluent_emoji lobehub-fluent-emoji-3d-1.1.0.tgz

The same package gives the same bytes under the same version of libwebp; the embedded file was
written with libwebp 1.6.0.
"""

import argparse
import hashlib
import io
import sys
import tarfile
import zipfile
from pathlib import Path

from PIL import Image, features

from bench.data.emoji import ARCHIVE, EMOJI_SIZE, SHA256_FILE
from bench.errors import UserError
from bench.files import written_aside

PACKAGE_SHA256 = "c1bb7eee7de090205a232518a9ab4adb3df458bfbe8a1f78232991194c8b2e58"
FIXED_TIMESTAMP = (1980, 1, 1, 0, 0, 0)


def shrink(webp: bytes) -> bytes:
    """An RGBA WebP of 256 px -> the same picture as a 64 px WebP of quality 90.

    The colours are premultiplied by alpha before resampling, so that transparent pixels do not
    bleed into the edges. Each new pixel is the mean of 4 x 4 old ones: unlike a filter with
    negative lobes, that leaves no faint halo in alpha, which would cost half as many bytes again.
    """
    with Image.open(io.BytesIO(webp)) as image:
        premultiplied = image.convert("RGBA").convert("RGBa")
    small = premultiplied.resize((EMOJI_SIZE, EMOJI_SIZE), Image.Resampling.BOX)
    out = io.BytesIO()
    small.convert("RGBA").save(out, "WEBP", quality=90)
    return out.getvalue()


def read_package(package: Path) -> dict[str, bytes]:
    """File name -> bytes of every WebP of the npm tarball; UserError if it is not release 1.1.0."""
    try:
        data = package.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {package}: {error.strerror}; get it with npm pack") from error
    if hashlib.sha256(data).hexdigest() != PACKAGE_SHA256:
        raise UserError(
            f"{package} is not @lobehub/fluent-emoji-3d 1.1.0 (its sha256 differs); "
            "get it with: npm pack @lobehub/fluent-emoji-3d@1.1.0"
        )
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        members = [m for m in tar if m.isfile() and m.name.endswith(".webp")]
        files = ((Path(m.name).name, tar.extractfile(m)) for m in members)
        return {name: file.read() for name, file in files if file}


def build_archive(pictures: dict[str, bytes]) -> bytes:
    """A stored zip of the shrunk pictures, sorted by name, with fixed timestamps and modes."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(pictures):
            member = zipfile.ZipInfo(name, FIXED_TIMESTAMP)
            member.create_system = 3
            member.external_attr = 0o644 << 16
            archive.writestr(member, shrink(pictures[name]))
    return out.getvalue()


def main() -> None:
    """Write the archive and its checksum beside it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("package", type=Path, help="lobehub-fluent-emoji-3d-1.1.0.tgz")
    package = parser.parse_args().package
    try:
        archive = build_archive(read_package(package))
    except UserError as error:
        sys.exit(f"error: {error}")
    digest = hashlib.sha256(archive).hexdigest()
    for path, data in (
        (ARCHIVE, archive),
        (SHA256_FILE, f"{digest}  {ARCHIVE.name}\n".encode()),
    ):
        with written_aside(path) as aside:
            aside.write_bytes(data)
    print(f"{ARCHIVE}: {len(archive)} bytes, sha256 {digest}, libwebp {features.version('webp')}")


if __name__ == "__main__":
    main()
