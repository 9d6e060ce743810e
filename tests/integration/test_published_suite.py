"""`experiments/published.yaml` with small weights made by a rule, on a few small images."""

import importlib
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from bench.records.reading import read_records

REPOSITORY = Path(__file__).parents[2]
SIDE, PATCH = 32, 8
WIDTH, DEPTH = 64, 1
MISSING = "tokenizer_titok_l32_imagenet"


@pytest.fixture
def benchmarks(monkeypatch):
    """`benchmarks(name)`: a module of `experiments/benchmarks`."""
    monkeypatch.syspath_prepend(str(REPOSITORY))
    return lambda name: importlib.import_module(f"experiments.benchmarks.{name}")


@pytest.fixture
def write_weights(benchmarks):
    """Small files of the names in the suite; budgets and codes are those of the real ones."""
    layouts, synthetic = benchmarks("layouts"), benchmarks("synthetic")

    def write(folder, names):
        pixels = layouts.maskgit(
            codes=16, code_width=8, channels=32, multipliers=(1, 1, 1, 1), blocks=1
        )
        for name, _, tokens, stages in benchmarks("published_suite").MODELS:
            shapes = layouts.titok(
                stages=stages, widths=(WIDTH, WIDTH), depths=(DEPTH, DEPTH), tokens=tokens,
                grid=SIDE // PATCH, patch=PATCH, pixel_decoder=pixels,
            )  # fmt: skip
            if name in names:
                save(shapes, folder / name / "pytorch_model.bin")
        if "vq_ds16_c2i.pt" in names:
            # 256 tokens as well, two pixels apart.
            shapes = layouts.llamagen(multipliers=(1, 1), channels=32, middle=16, blocks=1)
            save(shapes, folder / "vq_ds16_c2i.pt")

    def save(shapes, file):
        file.parent.mkdir(parents=True, exist_ok=True)
        torch.save({name: synthetic.tensor(name, shape) for name, shape in shapes.items()}, file)

    return write


def small_suite():
    suite = yaml.safe_load((REPOSITORY / "experiments" / "published.yaml").read_text())
    suite["base"]["data"]["resolution"] = suite["base"]["bank"]["extractor_resolution"] = SIDE
    suite["base"]["evaluation"]["kid_subset"] = 4
    for arm in suite["arms"]:
        tokenizer = arm["set"]["tokenizer"]
        if tokenizer["factory"] == "llamagen":
            tokenizer["arguments"]["resolution"] = SIDE
        if "policy" in arm["set"]:
            arm["set"]["policy"] = {**arm["set"]["policy"], "batch": 4, "steps": 5}
    return suite


def write_images(folder):
    rng = np.random.default_rng(0)
    for split in ("train", "val"):
        (folder / split / "photo").mkdir(parents=True)
        for index in range(8):
            pixels = rng.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / split / "photo" / f"{index}.png")


def test_all_of_it_runs_and_goes_on_where_weights_were_missing(
    adatok, write_weights, benchmarks, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    names = {name for name, *_ in benchmarks("published_suite").MODELS} | {"vq_ds16_c2i.pt"}
    write_weights(tmp_path / "weights", names - {MISSING})
    write_images(tmp_path / "imagenet")
    Path("published.yaml").write_text(yaml.safe_dump(small_suite()))

    def records():
        return {one.label: one for one in read_records(Path("store/records/published"))}

    answer = adatok("run", "published.yaml", "--store", "store", "--executor", "serial")
    assert answer.code == 1, answer.err
    failed = [one for one in records().values() if not one.done]
    assert [one.arm for one in failed] == ["TiTok-L-32"]
    assert f"weights/{MISSING}" in failed[0].error
    assert len(records()) == 19

    write_weights(tmp_path / "weights", {MISSING})
    answer = adatok("run", "published.yaml", "--store", "store", "--executor", "serial")
    assert answer.code == 0, answer.err
    done = records()
    assert all(one.done for one in done.values())
    tokens = {one.arm: one.curve[-1].budget for one in done.values() if one.curve}
    assert tokens["TiTok-L-32"] == 32
    assert tokens["LlamaGen-ds16"] == tokens["One-D-Piece-S"] == 256
    policies = [one for one in done.values() if one.allocator == "policy"]
    assert len(policies) == 9
    assert all(one.metrics.value("allocation_skill") is not None for one in policies)
