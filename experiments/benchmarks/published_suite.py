"""The whole of `experiments/published.yaml` on a few images, with weights made by a rule.

Shows that every cell of it runs, and what it takes, on a machine that has no weights: distances
mean nothing. Weights have the shapes of the published ones (12 GB). Run from the repository's root:
`python -m experiments.benchmarks.published_suite --images ZIP_OR_FOLDER`.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import torch
import yaml

from experiments.benchmarks import layouts, synthetic

SUITE = Path(__file__).parents[1] / "published.yaml"
# Width and depth of the two transformers by the letter of their size.
SIZES = {"S": (512, 8), "B": (768, 12), "L": (1024, 24)}
# File or folder under weights/, sizes of encoder and decoder, tokens, stages.
MODELS = (
    ("tokenizer_titok_s128_imagenet", "SS", 128, 2),
    ("tokenizer_titok_b64_imagenet", "BB", 64, 2),
    ("tokenizer_titok_l32_imagenet", "LL", 32, 2),
    ("tokenizer_titok_sl256_vq8k_imagenet", "SL", 256, 1),
    ("tokenizer_titok_bl128_vq8k_imagenet", "BL", 128, 1),
    ("tokenizer_titok_bl64_vq8k_imagenet", "BL", 64, 1),
    ("One-D-Piece-S-256", "SS", 256, 2),
    ("One-D-Piece-B-256", "BB", 256, 2),
    ("One-D-Piece-L-256", "LL", 256, 2),
)
LLAMAGEN = "vq_ds16_c2i.pt"
GIB = 2**30


def write_weights(folder: Path) -> None:
    """Every weight file that the suite names, those left out that are there already."""
    for name, sizes, tokens, stages in MODELS:
        file = folder / name / "pytorch_model.bin"
        if not file.is_file():
            widths, depths = zip(*(SIZES[size] for size in sizes), strict=True)
            codes, code_width = (4096, 12) if stages == 2 else (8192, 64)
            shapes = layouts.titok(
                stages=stages, widths=widths, depths=depths, tokens=tokens,
                codes=codes, code_width=code_width,
            )  # fmt: skip
            file.parent.mkdir(parents=True, exist_ok=True)
            torch.save(
                {name: synthetic.tensor(name, shape) for name, shape in shapes.items()}, file
            )
            print(f"{file}: {file.stat().st_size / GIB:.2f} GiB", flush=True)
    if not (folder / LLAMAGEN).is_file():
        shapes = layouts.llamagen()
        tensors = {name: synthetic.tensor(name, shape) for name, shape in shapes.items()}
        torch.save({"model": tensors}, folder / LLAMAGEN)


def write_images(source: Path, folder: Path, count: int) -> None:
    """The first images of a zip or a folder: `count` to train, the next `count` to validate."""
    if source.is_dir():
        files = {path.name: path.read_bytes for path in sorted(source.rglob("*.*"))}
    else:
        archive = zipfile.ZipFile(source)
        names = sorted(name for name in archive.namelist() if not name.endswith("/"))
        files = {Path(name).name: lambda name=name: archive.read(name) for name in names}
    images = [name for name in files if Path(name).suffix.lower() in (".jpg", ".jpeg", ".png")]
    for split, chosen in (("train", images[:count]), ("val", images[count : 2 * count])):
        (folder / split / "photo").mkdir(parents=True, exist_ok=True)
        for name in chosen:
            (folder / split / "photo" / name).write_bytes(files[name]())


def suite(count: int, dtype: str) -> dict[str, Any]:
    """The suite with what so few images need: smaller batches and blocks, one stage at a time."""
    asked = yaml.safe_load(SUITE.read_text(encoding="utf-8"))
    asked["base"]["evaluation"]["kid_subset"] = count // 2
    asked["resources"] = {
        stage: {"cpus": torch.get_num_threads()} for stage in ("external", "bank", "evaluation")
    }
    for arm in asked["arms"]:
        tokenizer = arm["set"]["tokenizer"]
        tokenizer["arguments"] = {**tokenizer["arguments"], "dtype": dtype}
        if "policy" in arm["set"]:
            arm["set"]["policy"] = {**arm["set"]["policy"], "batch": count}
    return asked


def main() -> int:
    """Make what is missing, run the suite, say what each stage took; exit code of the run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=Path, required=True, help="zip or folder of photographs")
    parser.add_argument("--count", type=int, default=16, help="images of each split")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--work", type=Path, default=Path("published_suite"))
    options = parser.parse_args()
    work: Path = options.work
    work.mkdir(parents=True, exist_ok=True)
    write_weights(work / "weights")
    write_images(options.images, work / "imagenet", options.count)
    (work / "published.yaml").write_text(
        yaml.safe_dump(suite(options.count, options.dtype)), encoding="utf-8"
    )
    began = time.perf_counter()
    program = Path(sys.executable).with_name("adatok-bench")
    ended = subprocess.run([program, "run", "published.yaml", "--executor", "serial"], cwd=work)
    took = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    for path in sorted((work / "store").glob("*/*/stage.json")):
        told = json.loads(path.read_text(encoding="utf-8"))
        print(f"{path.parent.parent.name:12} {path.parent.name}  {told['seconds']:8.1f} s")
    print(f"{took:.0f} s, largest process {peak / GIB:.2f} GiB, exit code {ended.returncode}")
    return ended.returncode


if __name__ == "__main__":
    sys.exit(main())
