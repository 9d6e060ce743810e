"""Damaged image files: each must be read or refused in one line, in little time and memory.

Makes files of every format, changes their bytes at random (flips, cuts, runs of one byte, large
numbers, parts of other files), and decodes them as the harness does, in processes that are watched.
Run from the repository's root: `python -m experiments.benchmarks.fuzz_images --count 1000`. The
seed decides every file; `--only 417` decodes one of them here, and shows a traceback.
"""

from __future__ import annotations

import argparse
import io
import json
import resource
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator

import numpy as np
from PIL import Image, ImageCms

from bench.data.decoding import square
from bench.data.manifest import decoded_or_reason

BATCH = 50  # of one process: a crash costs that many
MOST_SECONDS = 10.0  # for one image
MOST_BYTES = 2 * 2**30


def originals() -> list[bytes]:
    """Files in order: formats, modes and options, with metadata and without."""
    pixels = np.random.default_rng(0).integers(0, 256, (48, 64, 4), np.uint8)
    rgba = Image.fromarray(pixels)
    rgb, grey = rgba.convert("RGB"), rgba.convert("L")
    deep = Image.fromarray(pixels[..., 0].astype(np.uint16) * 257)
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "a description"
    exif.get_ifd(0x8769)[0x9003] = "2020:01:01 00:00:00"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    told = {"exif": exif, "icc_profile": profile}
    frames = {"save_all": True, "append_images": [rgb.rotate(90)]}
    made = [
        *((image, "PNG", {}) for image in (rgb, rgba, grey, deep, grey.convert("1"))),
        (rgb, "PNG", {**told, "transparency": (1, 2, 3)}),
        (rgb.quantize(16), "PNG", {"bits": 4, "transparency": 3}),
        (rgb, "JPEG", {**told, "progressive": True, "quality": 95}),
        (rgba.convert("CMYK"), "JPEG", told),
        (rgba, "WEBP", told),
        (rgb, "WEBP", {"lossless": True}),
        *((rgb, "TIFF", {**told, "compression": kind}) for kind in (None, "tiff_lzw", "jpeg")),
        (deep, "TIFF", {"compression": "tiff_deflate"}),
        (grey.convert("1"), "TIFF", {"compression": "group4"}),
        *((rgb, kind, frames) for kind in ("WEBP", "GIF", "AVIF")),
        (rgb.quantize(8), "GIF", {"transparency": 2}),
        (rgba, "AVIF", told),
        *((rgb, kind, {}) for kind in ("JPEG", "BMP", "PPM", "JPEG2000")),
    ]
    return [_saved(image, kind, options) for image, kind, options in made]


def _saved(image: Image.Image, kind: str, options: dict[str, object]) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def mutated(originals: list[bytes], number: int, seed: int = 0) -> bytes:
    """File `number` of a seed: a copy of an original with one to four changes."""
    rng = np.random.default_rng([seed, number])
    data = bytearray(originals[number % len(originals)])
    for _ in range(rng.integers(1, 5)):
        # Headers and metadata lie in front, where changes are worth more.
        at = int(rng.integers(0, min(len(data), 400) if rng.random() < 0.5 else len(data)))
        length = int(rng.integers(1, 40))
        change = rng.integers(0, 6)
        if change == 0:
            data[at] ^= 1 << int(rng.integers(0, 8))
        elif change == 1:
            data[at : at + length] = bytes([rng.choice([0, 1, 127, 255])]) * length
        elif change == 2:
            large = int(rng.choice([0, 1, 2**16, 2**24 + 1, 2**31 - 1, 2**32 - 1]))
            data[at : at + 4] = large.to_bytes(4, str(rng.choice(["big", "little"])))
        elif change == 3:
            other = originals[int(rng.integers(0, len(originals)))]
            data[at:at] = other[len(other) // 3 :][:length]
        elif change == 4:
            del data[at : at + length]
        elif rng.random() < 0.2:
            del data[max(at, 16) :]
    return bytes(data)


def fate(data: bytes) -> tuple[str, float]:
    """Whether the file is read, or why it is refused, and the seconds that it took."""
    began = time.perf_counter()
    found = decoded_or_reason(io.BytesIO(data))
    if not isinstance(found, str):
        square(found.image, resolution=32)
        found = "read without metadata" if found.metadata_damaged else "read"
    return found, time.perf_counter() - began


def _work(numbers: range, seed: int) -> None:
    files = originals()
    for number in numbers:
        found, seconds = fate(mutated(files, number, seed))
        print(json.dumps([number, found, seconds, peak_bytes()]), flush=True)


def watched(
    module: str, numbers: range, seed: int, *options: str
) -> Iterator[tuple[int, str, float, int]]:
    """Fates of files in a process of their own; complaints stand for what it did not survive."""
    given = [f"--seed={seed}", f"--from={numbers.start}", f"--count={len(numbers)}", *options]
    command = [sys.executable, "-m", module, "--work", *given]
    limit = 60 + MOST_SECONDS * len(numbers) / 2
    done = subprocess.run(command, capture_output=True, text=True, timeout=limit, check=False)
    yield from map(json.loads, done.stdout.splitlines())
    if done.returncode or done.stderr:
        yield numbers.start, f"FAULT: exit {done.returncode}: {done.stderr[-2000:]}", 0.0, 0


def tell(module: str, numbers: range, seed: int, *options: str) -> bool:
    """Print what became of files, in batches of processes; whether all is well."""
    parts = [numbers[at : at + BATCH] for at in range(0, len(numbers), BATCH)]
    rows = [row for part in parts for row in watched(module, part, seed, *options)]
    _, fates, seconds, peaks = zip(*rows, strict=True)
    faults = [row for row in rows if row[1].startswith("FAULT") or "\n" in row[1]]
    for reason, count in Counter(fate.split(":")[0] for fate in fates).most_common():
        print(f"{count:6} {reason}")
    print(f"slowest {max(seconds):.2f} s, largest {max(peaks) / 2**20:.0f} MiB", *faults, sep="\n")
    return not faults and max(seconds) <= MOST_SECONDS and max(peaks) <= MOST_BYTES


def peak_bytes() -> int:
    """Memory that this process has had at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    """Run the files that the options name, and tell what became of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--from", type=int, default=0, dest="start")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int)
    parser.add_argument("--work", action="store_true")
    options = parser.parse_args()
    numbers = range(options.start, options.start + options.count)
    if options.only is not None:
        print(fate(mutated(originals(), options.only, options.seed)))
    elif options.work:
        _work(numbers, options.seed)
    else:
        sys.exit(not tell("experiments.benchmarks.fuzz_images", numbers, options.seed))


if __name__ == "__main__":
    main()
