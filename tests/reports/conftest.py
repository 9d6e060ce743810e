import copy
import json

import pytest
from matplotlib.figure import Figure


@pytest.fixture
def records(small_run):
    """The small run's records: two policies, their tokenizer, one fixed length, two failures."""
    return copy.deepcopy(small_run.result.records)


@pytest.fixture
def done(records):
    return [record for record in records if record["status"] == "done"]


@pytest.fixture
def vary():
    """`vary(record, **changes)`: a copy with other metrics, settings by dotted path, or labels."""

    def vary(record, *, metrics=(), settings=(), **changes):
        record = {**copy.deepcopy(record), **changes}
        record["metrics"] |= dict(metrics)
        for path, value in dict(settings).items():
            *parents, last = path.split(".")
            place = record["settings"]
            for name in parents:
                place = place[name]
            place[last] = value
        return record

    return vary


BUDGETS = (2, 4, 8, 16)


def _record(arm, swept, *, reference_arm, training_seed, policy):
    shown = ", ".join(f"{path} {value}" for path, value in swept.items())
    apart = ", ".join(f"{p} {v}" for p, v in swept.items() if not p.endswith("seed"))
    record = {
        "suite": "made",
        "question": "Which?",
        "cell_key": f"{arm} {shown}",
        "arm": arm,
        "label": f"{arm}: {shown}" if shown else arm,
        "group": f"{arm}: {apart}" if apart else arm,
        "swept": dict(swept),
        "reference_arm": reference_arm,
        "length_from": None,
        "settings": {
            "data": {"kind": "fluent_scenes", "seed": 0},
            "tokenizer": {"budgets": list(BUDGETS), "lora": {"rank": 0}},
            "training": {"steps": 2000, "seed": training_seed},
            "finetuning": None,
            "policy": policy,
            "evaluation": {"seed": 0},
        },
        "status": "done",
        "error": None,
        "protocol": {"images_count": 24, "resolution": 32},
        "protocol_hash": "0" * 16,
        "tokenizer_parameters": 700000,
        "stages": [
            {"stage": "data", "seconds": 1.0},
            {"stage": "tokenizer", "seconds": 100.0},
            {"stage": "tokenizer", "seconds": 20.0},
        ],
    }
    for path, value in swept.items():
        *parents, last = path.split(".")
        place = record["settings"]
        for name in parents:
            place = place[name]
        place[last] = value
    return record


def _tokenizer(arm="elastic", *, psnr=(18.0, 19.0, 20.0, 21.0), seed=0, swept=(), untrained=(),
               reference_arm=None, budgets=BUDGETS):  # fmt: skip
    swept = {**dict(swept), "training.seed": seed}
    record = _record(arm, swept, reference_arm=reference_arm, training_seed=seed, policy=None)
    curve = [
        {
            "budget": budget,
            "trained": budget not in untrained,
            "mean_tokens": float(budget),
            "psnr": value,
            "mse": 10 ** (-value / 10),
            "perceptual": 5 - value / 10,
            "fd_lite0": 4000 - 100 * value,
            "bits": 12.0 * budget,
        }
        for budget, value in zip(budgets, psnr, strict=True)
    ]
    metrics = {**curve[-1], "codebook_usage": 0.5, "bits_per_token": 12.0}
    agnostic = [[row["budget"], row["mse"]] for row in curve]
    return record | {
        "metrics": metrics,
        "curve": curve,
        "trade_offs": {"agnostic": agnostic, "oracle": [[t, 0.9 * d] for t, d in agnostic]},
        "controls": {},
        "histories": {},
    }


def _policy(arm="policy", *, skill=0.5, seed=0, training_seed=0, weighting=None, tokens=6.0,
            mse=0.012, swept=(), reference_arm=None, collapsed=False, course=()):  # fmt: skip
    weighting = weighting or {"kind": "fixed", "efficiency": 0.5}
    policy = {
        "candidates": list(BUDGETS), "objective": {}, "weighting": weighting, "steps": 600,
        "seed": seed,
    }  # fmt: skip
    seeds = {"training.seed": training_seed, "policy.seed": seed}
    record = _record(
        arm, {**dict(swept), **seeds}, reference_arm=reference_arm,
        training_seed=training_seed, policy=policy,
    )  # fmt: skip
    history = [
        {
            "step": 25 * (index + 1),
            "mean_budget": t,
            "entropy": 1.2 - 0.05 * index,
            "weight_fidelity": 0.5,
            "weight_efficiency": 0.5,
            "advantage_scale": 1.0,
            "monitor_tokens": t,
            "monitor_mse": d,
        }
        for index, (t, d) in enumerate([*course, (tokens, mse)])
    ]
    return record | {
        "metrics": {
            "mean_tokens": tokens, "mse": mse, "psnr": 19.5, "fd_lite0": 1800.0,
            "allocation_skill": skill, "allocation_skill_perceptual": skill and skill / 2,
            "collapsed": collapsed, "policy_entropy": 0.4, "policy_parameter_share": 0.0123,
            "policy_time_share": 0.0045,
        },
        "curve": [],
        "trade_offs": {},
        "controls": {"shuffled": {"allocation_skill": -0.25}},
        "histories": {"policy": history},
    }  # fmt: skip


def _allocator(arm="heuristics", *, allocator=None, training_seed=0, tokens=6.0, mse=0.013,
               skill=0.2, seed=0, swept=()):  # fmt: skip
    """A made-up record of an allocator that is no policy, on `_tokenizer()`."""
    record = _policy(arm, skill=skill, training_seed=training_seed, tokens=tokens, mse=mse,
                     swept=swept)  # fmt: skip
    allocator = allocator or {"kind": "png_size", "candidates": None, "mean_budget": 6.0}
    record["settings"] |= {"policy": None, "allocator": allocator, "evaluation": {"seed": seed}}
    record["metrics"] |= {"encoder_passes": 1.0, "decoder_passes": 0.0}
    return record | {"histories": {}, "allocator": allocator["kind"]}


def _failed(record, error="tokenizer: DivergedError: loss is not finite"):
    kept = ("suite", "question", "cell_key", "arm", "label", "group", "swept", "reference_arm",
            "settings", "length_from")  # fmt: skip
    return {key: record[key] for key in kept} | {"status": "failed", "error": error, "stages": []}


@pytest.fixture
def tokenizer():
    """`tokenizer(arm, psnr=..., seed=...)`: a made-up record of an elastic tokenizer."""
    return _tokenizer


@pytest.fixture
def policy():
    """`policy(arm, skill=..., seed=...)`: a made-up record of a policy on `tokenizer()`."""
    return _policy


@pytest.fixture
def allocator():
    """`allocator(arm, allocator=..., skill=...)`: a made-up record of one that is no policy."""
    return _allocator


@pytest.fixture
def failed():
    """`failed(record)`: the same cell without a result."""
    return _failed


STAGE = {"peak_memory_bytes": 300 << 20, "resources": {"cpus": 1, "gpus": 0.0, "device": "cpu"}}
PROVENANCE = {"git_commit": "c0ffee" * 6, "git_dirty": False, "python": "3.11.7",
              "platform": "Linux", "packages": {"torch": "2.13.0"}}  # fmt: skip


def _complete(record):
    """A made-up record with what only the page and the compute table read."""
    seed = record["settings"]["training"]["seed"]
    stages = [
        {**STAGE, **stage, "key": f"{stage['stage']}{place}{seed}"}
        for place, stage in enumerate(record["stages"])
    ]
    return {**record, "schema_version": 1, "stages": stages, "provenance": PROVENANCE}


@pytest.fixture
def complete():
    """`complete(record)`: a made-up record with stage keys, costs and provenance."""
    return _complete


@pytest.fixture
def write_records(tmp_path):
    """`write_records(records)`: the store in which they lie, by their suites."""

    def write(records):
        for place, record in enumerate(records):
            folder = tmp_path / "store" / "records" / record["suite"]
            folder.mkdir(parents=True, exist_ok=True)
            record = _complete(record)
            (folder / f"{place:03}.json").write_text(json.dumps(record))
        return tmp_path / "store"

    return write


@pytest.fixture
def two_arms(tokenizer):
    """Three seeds of a reference arm and of one that is better by 1 dB at every length."""

    def psnr(seed, gain):
        return tuple(18 + gain + 0.01 * seed * (1 + gain) + step for step in range(4))

    return [
        tokenizer(arm, psnr=psnr(seed, gain), seed=seed, reference_arm="none")
        for arm, gain in (("none", 0), ("heads", 1))
        for seed in range(3)
    ]


@pytest.fixture(scope="session")
def page(tmp_path_factory):
    """The page of a made-up suite: tokenizer, two policies with images, a failed cell, and arms."""
    import numpy as np

    from bench.artifacts.gallery import Gallery, GalleryRow
    from reports.analysis.suites import read_parts
    from reports.page import building
    from reports.page.catalogue import FIGURES

    folder = tmp_path_factory.mktemp("page")
    records = [
        *(_tokenizer(psnr=(18 + s / 9, 19, 20, 21), seed=s, reference_arm="elastic")
          for s in range(3)),
        *(_tokenizer("heads", psnr=(19 + s / 9, 20, 21, 22), seed=s, reference_arm="elastic",
                     swept={"tokenizer.lora.rank": 4}) for s in range(3)),
        *(_policy(seed=s, training_seed=s, skill=0.5 + s / 50, mse=0.012 + s / 5000,
                  reference_arm="elastic", tokens=6 + s / 3) for s in range(3)),
    ]  # fmt: skip
    records.append(_failed(_tokenizer("lost", reference_arm="elastic")))
    rng = np.random.default_rng(0)
    rows = tuple(
        GalleryRow(id=f"i{i}", group=group, tokens=(None, tokens), psnr=(None, 20.0))
        for i, (group, tokens) in enumerate([("fewest tokens", 2), ("most tokens", 16)] * 2)
    )
    pixels = rng.integers(0, 256, (4, 2, 32, 32, 3), dtype=np.uint8)
    Gallery(pixels, ("original", "chosen budget"), rows).write(
        folder / "store" / "evaluation" / "g"
    )
    records[6]["gallery"] = "evaluation/g"
    there = folder / "store" / "records" / "made"
    there.mkdir(parents=True)
    for place, record in enumerate(records):
        record = {**_complete(record), "cell_key": f"{place:016x}"}
        (there / f"{record['cell_key']}.json").write_text(json.dumps(record))
    with pytest.MonkeyPatch.context() as patch:
        shown = tuple(one for one in FIGURES if one.name in ("pareto", "prefix_curves", "settle"))
        patch.setattr(building, "FIGURES", shown)
        parts = read_parts(["made"], folder / "store")
        built = building.build_report(parts, folder / "report", store=folder / "store")
    assert built.broken == ()
    return built.page


@pytest.fixture
def unrendered(monkeypatch):
    """Figures are built and laid out, but not rendered: that is what takes the time."""

    def savefig(figure, path, **kwargs):
        if path.suffix == ".png":
            figure.draw_without_rendering()
        path.write_bytes(b"figure")

    monkeypatch.setattr(Figure, "savefig", savefig)
