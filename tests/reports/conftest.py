import json
import math
from dataclasses import asdict

import numpy as np
import pytest
from pydantic_core import to_jsonable_python

from bench.artifacts.gallery import Gallery, GalleryRow
from bench.config.cell import CellConfig
from bench.config.settings import parse
from bench.records.protocol import Protocol
from bench.records.record import SCHEMA_VERSION, Record, parse_record
from bench.records.report_plugins import Figure, declared
from bench.store.integrity import describe
from bench.suite.cells import Cell

BUDGETS = (2, 4, 8, 16)
FIELDS = list(Record.model_fields)
RESULTS = FIELDS[FIELDS.index("allocator") : FIELDS.index("histories") + 1]


@pytest.fixture
def records(small_run):
    """The small run's records: two policies, their tokenizer, one fixed length, two failures."""
    return list(small_run.result.records)


@pytest.fixture
def done(records):
    return [record for record in records if record.done]


def _parsed(raw):
    """The record of these plain values, whose settings are completed by the defaults."""
    raw = to_jsonable_python(raw, inf_nan_mode="constants")
    settings, tokenizer = raw["settings"], raw["settings"]["tokenizer"]
    budgets = tokenizer.get("budgets")
    if isinstance(budgets, dict):
        settings = {**settings, "tokenizer": {**tokenizer, "budgets": [1]}}
    cell = Cell(raw["arm"], parse(CellConfig, settings, where=raw["label"]), {})
    raw["settings"] = cell.settings
    if isinstance(budgets, dict):
        raw["settings"]["tokenizer"]["budgets"] = budgets
    return parse_record(json.dumps(raw), where=raw["label"])


def _change(settings, changes):
    for path, value in dict(changes).items():
        *parents, last = path.split(".")
        place = settings
        for name in parents:
            place = place[name]
        place[last] = value


def _vary(record, *, metrics=(), settings=(), without=(), **changes):
    raw = record.plain() | changes
    if metrics:
        raw["metrics"] = {**raw["metrics"], **dict(metrics)}
    for values in (raw["metrics"], *raw["curve"]) if without else ():
        for name in without:
            values.pop(name, None)
    _change(raw["settings"], settings)
    return _parsed(raw)


@pytest.fixture
def vary():
    """`vary(record, **changes)`: the record with other fields; `metrics` are added to its own,
    `settings` are given by dotted path, metrics named in `without` leave it and its curve."""
    return _vary


@pytest.fixture
def vary_curve():
    """`vary_curve(record, change)`: with `change(row)`, a mapping, added to each row's values."""

    def vary_curve(record, change):
        return _vary(record, curve=[row.model_dump() | change(row) for row in record.curve])

    return vary_curve


RESOURCES = {"cpus": 1, "gpus": 0.0, "device": "cpu"}
PROVENANCE = {"git_commit": "c0ffee" * 6, "git_dirty": False, "python": "3.11.7", "cpus": 2,
              "platform": "Linux", "host": "made", "packages": {"torch": "2.13.0"}}  # fmt: skip

PROTOCOL = asdict(
    Protocol(images_digest="d" * 16, images_count=24, resolution=32, estimators={}, extractors={},
             versions={})
)  # fmt: skip


def _record(arm, swept, *, reference_arm, training_seed, results, **settings):
    shown = ", ".join(f"{path} {value}" for path, value in swept.items())
    apart = ", ".join(f"{p} {v}" for p, v in swept.items() if not p.endswith("seed"))
    settings = {
        "data": {"kind": "fluent_scenes", "seed": 0},
        "tokenizer": {"budgets": list(BUDGETS), "lora": {"rank": 0}},
        "training": {"steps": 2000, "seed": training_seed},
        "evaluation": {"seed": 0},
        **settings,
    }
    _change(settings, swept)
    stages = (("data", 1.0), ("tokenizer", 100.0), ("tokenizer", 20.0))
    return _parsed({
        "schema_version": SCHEMA_VERSION,
        "suite": "made",
        "question": "Which?",
        "cell_key": f"{arm} {shown}",
        "arm": arm,
        "label": f"{arm}: {shown}" if shown else arm,
        "group": f"{arm}: {apart}" if apart else arm,
        "swept": dict(swept),
        "reference_arm": reference_arm,
        "length_from": None,
        "settings": settings,
        "status": "done",
        "error": None,
        "stages": [
            {"stage": stage, "key": f"{stage}{place}{training_seed}", "seconds": seconds,
             "peak_memory_bytes": 300 << 20, "resources": RESOURCES}
            for place, (stage, seconds) in enumerate(stages)
        ],
        "provenance": PROVENANCE,
        "protocol": PROTOCOL,
        "protocol_hash": "0" * 16,
        "tokenizer_parameters": 700000,
        **results,
    })  # fmt: skip


def _tokenizer(arm="elastic", *, psnr=(18.0, 19.0, 20.0, 21.0), seed=0, swept=(), untrained=(),
               reference_arm=None, budgets=BUDGETS):  # fmt: skip
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
    at_largest = {k: v for k, v in curve[-1].items() if k not in ("budget", "trained")}
    agnostic = [[row["budget"], row["mse"]] for row in curve]
    results = {
        "controls": {},
        "histories": {},
        "metrics": {**at_largest, "codebook_usage": 0.5, "bits_per_token": 12.0},
        "curve": curve,
        "trade_offs": {"agnostic": agnostic, "oracle": [[t, 0.9 * d] for t, d in agnostic]},
    }
    swept = {**dict(swept), "training.seed": seed}
    return _record(arm, swept, reference_arm=reference_arm, training_seed=seed, results=results)


def _policy(arm="policy", *, skill=0.5, seed=0, training_seed=0, weighting=None, tokens=6.0,
            mse=0.012, swept=(), reference_arm=None, collapsed=False, course=()):  # fmt: skip
    weighting = weighting or {"kind": "fixed", "efficiency": 0.5}
    policy = {"candidates": list(BUDGETS), "weighting": weighting, "steps": 600, "seed": seed}
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
    results = {
        "metrics": {
            "mean_tokens": tokens, "mse": mse, "psnr": 19.5, "fd_lite0": 1800.0,
            "allocation_skill": skill, "allocation_skill_perceptual": skill and skill / 2,
            "collapsed": collapsed, "policy_entropy": 0.4, "policy_parameter_share": 0.0123,
            "policy_time_share": 0.0045,
        },
        "curve": [],
        "controls": {"shuffled": {"allocation_skill": -0.25}},
        "histories": {"policy": history},
    }  # fmt: skip
    swept = {**dict(swept), "training.seed": training_seed, "policy.seed": seed}
    return _record(arm, swept, reference_arm=reference_arm, training_seed=training_seed,
                   results=results, policy=policy)  # fmt: skip


def _allocator(arm="heuristics", *, allocator=None, training_seed=0, tokens=6.0, mse=0.013,
               skill=0.2, seed=0, swept=()):  # fmt: skip
    """A made-up record of an allocator that is no policy, on `_tokenizer()`."""
    record = _policy(arm, skill=skill, training_seed=training_seed, tokens=tokens, mse=mse,
                     swept=swept)  # fmt: skip
    allocator = allocator or {"kind": "png_size", "candidates": None, "mean_budget": 6.0}
    settings = {"policy": None, "allocator": allocator, "evaluation": {"seed": seed}}
    if allocator["kind"] == "own":
        settings |= {"bank.own_targets": [allocator["target"]], "tokenizer.encoding": "halting"}
    passes = {"encoder_passes": 1.0, "decoder_passes": 0.0}
    return _vary(record, metrics=passes, settings=settings, histories={},
                 allocator=allocator["kind"])  # fmt: skip


def _generated(arm="end token", *, seed=0, generation=(), settings=(), length_from=None,
               **metrics):  # fmt: skip
    record = _tokenizer(arm, seed=seed)
    found = {
        "lengths": {}, "unended": 0, "distance": {}, "by_length": [], "by_group": [],
        "by_class": [], "sampling": {}, **dict(generation),
    }  # fmt: skip
    return _vary(
        record, kind="generation", curve=[], trade_offs={}, generation=found, settings=settings,
        length_from=length_from, metrics={"mean_tokens": 4.0, **metrics},
        protocol={**PROTOCOL, "reference": "unpaired originals", "sampling": {}},
    )  # fmt: skip


def _speed_row(arm, mode, *, ratio=1.0, **values):
    speed = {"median": 100.0 * ratio, "quartile_low": 90.0 * ratio, "quartile_high": 110.0 * ratio}
    return {
        "arm": arm, "mode": mode, "batch": 8, "guidance": False, "guidance_scale": 1.0,
        "pixels": False, "images": 16, "images_per_second": speed, "tokens_per_second": speed,
        "ratio": ratio, "ratio_quartiles": [ratio, ratio], "of_ideal": None, "occupancy": None,
        "first_image_seconds": 0.5, "peak_memory_bytes": 100 << 20, **values,
    }  # fmt: skip


def _timed(arm="policy lengths", *, rows, cost=(), lengths=()):
    steps = [{"batch": 8, "guidance": False, "guidance_scale": 1.0, **step} for step in cost]
    speed = {
        "weights": "random", "device": "cpu", "threads": 2, "load_average": [0.0, 0.0],
        "precision": "float32", "parameters": 1000, "vocabulary_size": 64, "repeats": 3,
        "rows": [_speed_row(**row) for row in rows], "cost_by_position": steps,
        "lengths": {"kind": "policy", "fixed": 256, "mean": 118.0, "shares": {},
                    "token_ratio": 2.2, **dict(lengths)},
    }  # fmt: skip
    return _vary(_tokenizer(arm), kind="throughput", curve=[], trade_offs={}, throughput=speed)


def _failed(record, error="tokenizer: DivergedError: loss is not finite"):
    raw = {name: value for name, value in record.plain().items() if name not in RESULTS}
    return _parsed(raw | {"status": "failed", "error": error, "stages": []})


@pytest.fixture
def tokenizer():
    """`tokenizer(arm, psnr=..., seed=...)`: a made-up record of an elastic tokenizer."""
    return _tokenizer


@pytest.fixture
def one_length():
    """`one_length(psnr=20.0, length=6, seed=0)`: a made-up record of a tokenizer of one length."""

    def one_length(*, psnr=20.0, length=6, seed=0, **changes):
        record = _tokenizer("fixed", psnr=(psnr,), budgets=(length,), seed=seed)
        return _vary(record, settings={"tokenizer.budgets": [length]}, **changes)

    return one_length


def _at_steps(records, arm, swept, **settings):
    """The records as cells of this arm, trained with other settings; `swept` name them."""
    apart = ", ".join(f"{path} {value}" for path, value in swept.items())
    group = f"{arm}: {apart}" if apart else arm
    return [
        _vary(
            record,
            arm=arm,
            group=group,
            cell_key=f"{group} {place}",
            label=f"{group}, seed {record.setting('training.seed')}",
            swept={**swept, "training.seed": record.setting("training.seed")},
            settings={**settings, **swept},
        )
        for place, record in enumerate(records)
    ]


JITTER = (0.0, 0.01, -0.01)


@pytest.fixture
def priced():
    """`priced(arm, price=0.16, ...)`: an elastic arm that costs so much more at each budget.

    With its policy at 5.75 tokens, unless `gain` is None. Seeds differ by `JITTER`, as logarithms.
    """

    def priced(arm="elastic", *, price=0.16, gain=-0.10, possible=-0.14, seeds=JITTER, scale=1.0,
               swept=(), **settings):  # fmt: skip
        curves, policies = [], []
        for seed, jitter in enumerate(seeds):
            dearer = scale * (1 + price) * math.exp(jitter)
            psnr = [-10 * math.log10(dearer * fixed_distortion(k)) for k in BUDGETS]
            curves.append(_tokenizer(psnr=psnr, seed=seed))
            mixed = dearer * fixed_distortion(6)
            controls = {
                name: {"mse": (1 + change) * mixed, "mean_tokens": 5.75}
                for name, change in (("agnostic", 0.0), ("oracle", possible))
            }
            if gain is not None:
                one = _policy(training_seed=seed, tokens=5.75, mse=(1 + gain) * mixed)
                policies.append(_vary(one, controls=controls))
        made = _at_steps(curves, arm, dict(swept), **settings)
        return made + _at_steps(policies, f"{arm} policy", dict(swept), **settings)

    return priced


def fixed_distortion(tokens):
    return 0.03 * tokens**-0.4


@pytest.fixture
def fixed_lengths(one_length):
    """`fixed_lengths(arm, lengths=(2, 6))`: tokenizers of one length, three seeds each."""

    def fixed_lengths(arm="fixed", *, lengths=(*BUDGETS, 6), seeds=3, scale=1.0, swept=(),
                      **settings):  # fmt: skip
        made = []
        for length in lengths:
            psnr = -10 * math.log10(scale * fixed_distortion(length))
            members = [one_length(psnr=psnr, length=length, seed=seed) for seed in range(seeds)]
            at = {**dict(swept), "tokenizer.budgets": [length]}
            made += _at_steps(members, arm, at, **settings)
        return made

    return fixed_lengths


@pytest.fixture
def policy():
    """`policy(arm, skill=..., seed=...)`: a made-up record of a policy on `tokenizer()`."""
    return _policy


@pytest.fixture
def allocator():
    """`allocator(arm, allocator=..., skill=...)`: a made-up record of one that is no policy."""
    return _allocator


@pytest.fixture
def generated():
    """`generated(arm, seed=0, generation=..., **metrics)`: a made-up record of samples.

    `generation` are fields of `Generation`, the others are empty.
    """
    return _generated


@pytest.fixture
def timed():
    """`timed(arm, rows=..., cost=..., lengths=...)`: a made-up record of a throughput.

    A row needs `arm` and `mode`, a cost `position` and `seconds`; the others have a value.
    """
    return _timed


@pytest.fixture
def failed():
    """`failed(record)`: the same cell without a result."""
    return _failed


@pytest.fixture
def write_records(tmp_path):
    """`write_records(records)`: the store in which they lie, by their suites."""

    def write(records):
        for place, record in enumerate(records):
            folder = tmp_path / "store" / "records" / record.suite
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{place:03}.json").write_text(record.model_dump_json(exclude_unset=True))
        return tmp_path / "store"

    return write


def _complete(artifact):
    describe(artifact, {"stage": artifact.parent.name, "key": artifact.name})


@pytest.fixture
def complete():
    """`complete(artifact)`: its `stage.json`, for a folder `<stage>/<key>` filled by hand."""
    return _complete


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


def few_figures(*names):
    """`declared`, of these figures alone and of all tables."""

    def few(kind):
        return {n: one for n, one in declared(kind).items() if kind is not Figure or n in names}

    return few


@pytest.fixture(scope="session")
def page(tmp_path_factory):
    """The page of a made-up suite: tokenizer, two policies with images, a failed cell, and arms."""
    from reports.analysis.suites import read_parts
    from reports.page import building

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
    artifact = folder / "store" / "evaluation" / "g"
    Gallery(pixels, ("original", "chosen budget"), rows).write(artifact)
    _complete(artifact)
    records[6] = _vary(records[6], gallery="evaluation/g")
    there = folder / "store" / "records" / "made"
    there.mkdir(parents=True)
    for place, record in enumerate(records):
        record = _vary(record, cell_key=f"{place:016x}")
        (there / f"{record.cell_key}.json").write_text(record.model_dump_json(exclude_unset=True))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(building, "declared", few_figures("pareto", "prefix_curves", "settle"))
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

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", savefig)


@pytest.fixture
def only_figures(monkeypatch):
    """`only_figures("pareto")`: a page tries these alone, beside all tables."""
    from reports.page import building

    def only(*names):
        monkeypatch.setattr(building, "declared", few_figures(*names))

    return only
