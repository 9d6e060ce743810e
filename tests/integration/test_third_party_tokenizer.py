"""A tokenizer from outside goes from nothing to a page beside a published one, by one suite."""

import contextlib
import io
import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from safetensors.torch import save_file

from bench.commands import cli
from bench.records.reading import read_records
from reports.analysis.foreign_contests import foreign_contests
from reports.analysis.settling import differences

TOKENIZER = '''
import numpy as np


class Blocks:
    """Mean colours of 8 px blocks, in six steps."""

    def describe(self):
        return {"resolution": 32, "max_tokens": 16, "codebook_size": 216, "nested": True,
                "arrays": "numpy"}

    def encode(self, images):
        means = images.reshape(-1, 3, 4, 8, 4, 8).mean((3, 5)).reshape(-1, 3, 16)
        steps = np.minimum((means * 6).astype(int), 5)
        return steps[:, 0] * 36 + steps[:, 1] * 6 + steps[:, 2], means.transpose(0, 2, 1)

    def decode(self, ids):
        blocks = np.full((len(ids), 3, 16), 0.5)
        blocks[..., : ids.shape[1]] = np.stack([ids // 36, ids // 6 % 6, ids % 6], 1) / 6 + 1 / 12
        return np.kron(blocks.reshape(-1, 3, 4, 4), np.ones((1, 1, 8, 8)))
'''
CODES, TOKENS, WIDTH = 64, 8, 64
CONSTRAINT = {"kind": "constraint", "mean_budget": TOKENS}
POLICY = {
    "candidates": [2, 4, 8, 16],
    "objective": {"kind": "supervised", "centred": True},
    "weighting": CONSTRAINT,
    "steps": 100,
    "batch": 64,
}
SUITE = {
    "suite": "outside",
    "question": "Does choosing by image among blocks beat TiTok at equal tokens?",
    "reports": ["settle", "pareto"],
    "base": {
        "data": {"kind": "fluent_scenes", "resolution": 32, "train": 100, "validation": 100,
                 "calibration": 100},
        "tokenizer": {"kind": "external", "factory": "blocks.py:Blocks",
                      "budgets": [2, 4, 8, 16]},
        "bank": {"batch": 100, "extractor_resolution": 32},
        "evaluation": {"kid_subset": 50},
    },
    "arms": [
        {"name": "blocks"},
        {"name": "policy", "set": {"policy": POLICY}, "sweep": {"policy.seed": [0, 1]}},
        {"name": "TiTok", "set": {"tokenizer": {"kind": "external", "factory": "titok",
                                                "arguments": {"weights": "titok.safetensors"}}}},
    ],
}  # fmt: skip


def write_titok(path):
    """Weights of a small single-stage TiTok for 32 px, made up."""

    def stack(prefix):
        block, wide = f"{prefix}transformer.0.", 4 * WIDTH
        yield f"{prefix}class_embedding", (1, WIDTH)
        yield f"{prefix}positional_embedding", (1 + 16, WIDTH)
        yield f"{prefix}latent_token_positional_embedding", (TOKENS, WIDTH)
        for norm in (f"{prefix}ln_pre", f"{prefix}ln_post", f"{block}ln_1", f"{block}ln_2"):
            yield from linear(norm, (WIDTH,))
        yield f"{block}attn.in_proj_weight", (3 * WIDTH, WIDTH)
        yield f"{block}attn.in_proj_bias", (3 * WIDTH,)
        yield from linear(f"{block}attn.out_proj", (WIDTH, WIDTH))
        yield from linear(f"{block}mlp.c_fc", (wide, WIDTH))
        yield from linear(f"{block}mlp.c_proj", (WIDTH, wide))

    def linear(name, shape):
        yield f"{name}.weight", shape
        yield f"{name}.bias", shape[:1]

    shapes = {
        "latent_tokens": (TOKENS, WIDTH),
        "quantize.embedding.weight": (CODES, 4),
        **dict(stack("encoder.")),
        **dict(linear("encoder.patch_embed", (WIDTH, 3, 8, 8))),
        **dict(linear("encoder.conv_out", (4, WIDTH, 1, 1))),
        **dict(stack("decoder.")),
        "decoder.mask_token": (1, 1, WIDTH),
        **dict(linear("decoder.decoder_embed", (WIDTH, 4))),
        **dict(linear("decoder.ffn.0", (3 * 8 * 8, WIDTH, 1, 1))),
        **dict(linear("decoder.conv_out", (3, 3, 3, 3))),
    }
    generator = torch.Generator().manual_seed(0)
    weights = {n: 0.1 * torch.randn(s, generator=generator) for n, s in shapes.items()}
    weights["decoder.conv_out.bias"] += 0.5
    save_file(weights, path)


@dataclass(frozen=True)
class Made:
    folder: Path
    said: str

    @property
    def records(self):
        return read_records(self.folder / "store" / "records" / "outside")

    def text(self, name):
        return (self.folder / name).read_text("utf-8")


@pytest.fixture(scope="module")
def adatok(tmp_path_factory):
    """`adatok("run", ...)`: what the command line says, in a folder of the tokenizer's author."""
    folder = tmp_path_factory.mktemp("theirs")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)

        def adatok(*arguments):
            patch.setattr(sys, "argv", ["adatok-bench", *arguments])
            out = io.StringIO()
            with contextlib.redirect_stdout(out), contextlib.suppress(SystemExit):
                cli.main()
            return out.getvalue()

        yield adatok


@pytest.fixture(scope="module")
def made(adatok):
    folder = Path.cwd()
    (folder / "blocks.py").write_text(TOKENIZER)
    write_titok(folder / "titok.safetensors")
    (folder / "suite.yaml").write_text(yaml.safe_dump(SUITE))
    said = adatok("run", "suite.yaml", "--store", "store", "--executor", "serial")
    adatok("report", "outside", "--store", "store", "--out", "page")
    return Made(folder, said)


def test_its_class_is_short():
    assert len(TOKENIZER.strip().splitlines()) <= 20


def test_every_cell_has_a_result(made):
    assert {record.label: record.status for record in made.records} == dict.fromkeys(
        ["blocks", "policy: seed 0", "policy: seed 1", "TiTok"], "done"
    )


def test_the_difference_is_paired_over_images_and_names_both_sides(made):
    (contest,) = foreign_contests(made.records, made.folder / "store")
    assert contest.label == "blocks, policy against TiTok, 8 tokens"
    found = differences(contest)[0]["mse"]
    tables = {
        record.label: pd.read_parquet(made.folder / "store" / record.images).set_index("id")["mse"]
        for record in made.records
    }
    ours = (tables["policy: seed 0"] + tables["policy: seed 1"]) / 2
    by_image = ours - tables["TiTok"]
    assert found.interval.over == "images"
    assert found.interval.n == len(by_image) == 100
    assert found.interval.mean == pytest.approx(by_image.mean())
    assert found.whole == pytest.approx(tables["TiTok"].mean())
    error = by_image.std() / np.sqrt(len(by_image))
    assert found.interval.high - found.interval.low == pytest.approx(2 * 1.96 * error, rel=0.25)
    assert found.over_seeds.n == 2
    assert found.direction == -1


def test_the_settling_text_says_tokens_bits_and_images(made):
    text = made.text("store/reports/outside/settle.txt")
    assert "adaptive better" in text
    assert re.search(r"over 100 images, 2 policy seeds", text)
    assert re.search(r"fixed length: TiTok +8\.00 +6 +48", text)
    assert re.search(r"adaptive side spends [\d.]+ bits an image, TiTok 48", text)
    assert re.search(r"At exactly equal tokens: adaptive better", text)
    assert re.search(r"^oracle ", text, re.M)
    assert re.search(r"^agnostic mixture ", text, re.M)
    assert "trained for" not in text
    assert "training seed" not in text


def test_the_figure_has_the_wider_of_both_intervals(made):
    data = pd.read_csv(made.folder / "store/reports/outside/settle.csv")
    mean = data[(data["kind"] == "mean") & data["system"].str.endswith("as run")]
    (contest,) = foreign_contests(made.records, made.folder / "store")
    for metric, one in differences(contest)[0].items():
        widths = [i.high - i.low for i in (one.interval, one.over_seeds) if i is not None]
        drawn = mean[mean["metric"] == metric].iloc[0]
        assert drawn["high"] - drawn["low"] == pytest.approx(100 * max(widths) / one.whole)


def test_the_page_has_plot_skill_and_verdict(made):
    page = made.text("page/index.html")
    assert "trained for" not in page.split('<script type="application/json"')[0]
    assert "adaptive better" in page
    assert "external at one length" in page
    assert (made.folder / "page/figures/outside/settle.png").is_file()
    assert (made.folder / "page/figures/outside/pareto.png").is_file()
    table = pd.read_csv(made.folder / "page/tables/outside/comparison.csv")
    policy = table[table["allocation"] == "supervised, centred"].iloc[0]
    assert policy["remark"].startswith("adaptive better against TiTok: distortion -")
    skills = [r.metrics.value("allocation_skill") for r in made.records if r.arm == "policy"]
    assert float(policy["allocation_skill"]) == pytest.approx(np.mean(skills))
    assert policy["seeds"] == "2 policy seeds"
    assert table.loc[table["tokenizer"] == "TiTok", "seeds"].tolist() == ["none"]


def test_compare_sets_the_two_side_by_side(made, adatok):
    text = adatok("compare", "outside:TiTok", "outside:policy", "--store", "store")
    assert "100 images, 2 policy seeds" in text
    assert "a token of A has 6 bits, one of B 7.755" in text
    back, forth = (
        {
            row["metric"]: row
            for row in json.loads(adatok("compare", *sides, "--store", "store", "--json"))[
                "differences"
            ]
        }
        for sides in (["outside:TiTok", "outside:policy"], ["outside:policy", "outside:TiTok"])
    )
    assert back["mse"]["verdict"] == "better"
    assert forth["mse"]["verdict"] == "worse"
    assert forth["mse"]["difference"] == pytest.approx(-back["mse"]["difference"])
    assert forth["mse"]["low"] == pytest.approx(-back["mse"]["high"])
    assert back["mse"]["over"] == "images"
    assert back["fd_lite0"]["over"] == "seeds"  # Images have no Fréchet distance.
