"""A tokenizer of someone else's, the pictures that it makes, and suites of both."""

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

from bench.commands import cli
from bench.data.fluent_scenes import render_scene
from bench.records.record import parse_record

TOKENIZER = """
import numpy as np

class Blocks:
    '''Means of 4x4 blocks of 16 px images, coarsely; ids of more blocks follow those of fewer.'''

    def describe(self):
        return dict(resolution=16, max_tokens=16, budgets=[2, 8, 16], codebook_size=64,
                    nested=True, arrays="numpy")

    def encode(self, images):
        blocks = images.reshape(len(images), 3, 4, 4, 4, 4).mean((3, 5)).reshape(-1, 3, 16)
        levels = np.minimum((blocks * 4).astype(int), 3)
        return (levels[:, 0] * 4 + levels[:, 1]) * 4 + levels[:, 2]

    def decode(self, ids):
        levels = np.stack([ids // 16, ids // 4 % 4, ids % 4], 1)
        blocks = np.full((len(ids), 3, 16), 0.4)
        blocks[:, :, : ids.shape[1]] = (levels + 0.5) / 4
        return blocks.reshape(-1, 3, 4, 1, 4, 1).repeat(4, 3).repeat(4, 5).reshape(-1, 3, 16, 16)
"""
OURS = {"kind": "external", "factory": "blocks.py:Blocks"}
TOKENS = {"tokenizer.tokens": "tokens.parquet", "tokenizer.codebook_size": 64}
POLICY = {"candidates": [2, 8, 16], "input": "pixels", "steps": 20, "batch": 16}
SUITE = {
    "suite": "elsewhere",
    "question": "Are they the same?",
    "base": {
        "data": {"kind": "fluent_scenes", "resolution": 16, "train": 24, "validation": 24},
        "tokenizer": {"kind": "reconstructions", "path": "made", "nested": True},
        "bank": {"extractor_resolution": 32, "batch": 8, "shard": 16},
        "evaluation": {"heuristics": False},
    },
    "arms": [],
}
MADE = [
    {"name": "ours", "set": {"tokenizer": OURS}},
    {"name": "our policy", "set": {"tokenizer": OURS, "policy": POLICY}},
]
READ = [
    {"name": "curve"},
    {"name": "policy", "set": {"policy": POLICY}},
    {
        "name": "oracle",
        "set": {
            "allocator": {"kind": "oracle", "mean_budget": 6},
            "evaluation.heuristics": True,
        },
    },
    {
        "name": "tokens",
        "set": {
            **TOKENS,
            "allocator": {"kind": "codebook_entropy", "mean_budget": 6},
        },
    },
]


@dataclass(frozen=True)
class Place:
    """A folder with suites, images, and one store."""

    folder: Path
    capture: pytest.CaptureFixture | None = None

    def run(self, arms, *, command="run", **base):
        """The exit code of the command on a suite of these arms."""
        content = {**SUITE, "base": {**SUITE["base"], **base}, "arms": arms}
        path = self.folder / "elsewhere.yaml"
        path.write_text(yaml.safe_dump(content))
        more = ["--store", "store", "--executor", "serial"] if command == "run" else []
        return self.command(command, str(path), *more)

    def command(self, *arguments):
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(self.folder)
            patch.setattr(sys, "argv", ["adatok-bench", *arguments])
            try:
                cli.main()
            except SystemExit as stop:
                return stop.code or 0
        return 0

    def record(self, arm):
        paths = (self.folder / "store" / "records" / "elsewhere").glob("*.json")
        records = [parse_record(path.read_bytes(), where=path.name) for path in paths]
        return next(one for one in records if one.arm == arm)

    def artifact(self, arm, stage, index=-1):
        key = [one.key for one in self.record(arm).stages if one.stage == stage][index]
        return self.folder / "store" / stage / key

    def table(self, arm):
        return pd.read_parquet(self.folder / "store" / self.record(arm).images)

    def banks(self):
        return {path.name for path in (self.folder / "store" / "bank").iterdir()}


def write_pictures(folder):
    """What the tokenizer makes of all images, as PNGs, and its ids as a table."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        from blocks import Blocks
    rows = []
    for split in ("train", "validation"):
        scenes = [render_scene(index, split=split, seed=0, resolution=16) for index in range(24)]
        pixels = np.stack([scene.pixels for scene in scenes]).astype(np.float32) / 255
        names, ids = [f"{split}/{index:06d}" for index in range(24)], Blocks().encode(pixels)
        rows += [{"id": name, "ids": list(row)} for name, row in zip(names, ids, strict=True)]
        for budget in (2, 8, 16):
            unit = Blocks().decode(ids[:, :budget]).astype(np.float32)
            pictures = np.rint(unit.clip(0, 1) * np.float32(255)).astype(np.uint8)
            for name, picture in zip(names, pictures, strict=True):
                path = folder / "made" / str(budget) / f"{name}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(picture.transpose(1, 2, 0)).save(path)
    pd.DataFrame(rows).to_parquet(folder / "tokens.parquet", index=False)
