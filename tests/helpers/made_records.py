"""Made-up records of tokenizers, policies, allocators, generators and timings."""

import json
from dataclasses import asdict

from pydantic_core import to_jsonable_python

from bench.config.cell import CellConfig
from bench.config.settings import parse
from bench.records.protocol import Protocol
from bench.records.record import SCHEMA_VERSION, Record, parse_record
from bench.suite.cells import Cell

BUDGETS = (2, 4, 8, 16)
FIELDS = list(Record.model_fields)
RESULTS = FIELDS[FIELDS.index("allocator") : FIELDS.index("histories") + 1]
RESOURCES = {"cpus": 1, "gpus": 0.0, "device": "cpu"}
PROVENANCE = {"git_commit": "c0ffee" * 6, "git_dirty": False, "python": "3.11.7", "cpus": 2,
              "platform": "Linux", "host": "made", "packages": {"torch": "2.13.0"}}  # fmt: skip
PROTOCOL = asdict(
    Protocol(images_digest="d" * 16, images_count=24, resolution=32, estimators={}, extractors={},
             versions={})
)  # fmt: skip


def parsed(raw):
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


def change(settings, changes):
    for path, value in dict(changes).items():
        *parents, last = path.split(".")
        place = settings
        for name in parents:
            place = place[name]
        place[last] = value


def vary(record, *, metrics=(), settings=(), without=(), **changes):
    """The record with other fields; `metrics` are added to its own.

    `settings` are given by dotted path; metrics named in `without` leave it and its curve.
    """
    raw = record.plain() | changes
    if metrics:
        raw["metrics"] = {**raw["metrics"], **dict(metrics)}
    for values in (raw["metrics"], *raw["curve"]) if without else ():
        for name in without:
            values.pop(name, None)
    change(raw["settings"], settings)
    return parsed(raw)


def record(arm, swept, *, reference_arm, training_seed, results, **settings):
    shown = ", ".join(f"{path} {value}" for path, value in swept.items())
    apart = ", ".join(f"{p} {v}" for p, v in swept.items() if not p.endswith("seed"))
    settings = {
        "data": {"kind": "fluent_scenes", "seed": 0},
        "tokenizer": {"budgets": list(BUDGETS), "lora": {"rank": 0}},
        "training": {"steps": 2000, "seed": training_seed},
        "evaluation": {"seed": 0},
        **settings,
    }
    change(settings, swept)
    stages = (("data", 1.0), ("tokenizer", 100.0), ("tokenizer", 20.0))
    return parsed({
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


def tokenizer(arm="elastic", *, psnr=(18.0, 19.0, 20.0, 21.0), seed=0, swept=(), untrained=(),
               reference_arm=None, budgets=BUDGETS):  # fmt: skip
    """A record of an elastic tokenizer."""
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
    return record(arm, swept, reference_arm=reference_arm, training_seed=seed, results=results)


def policy(arm="policy", *, skill=0.5, seed=0, training_seed=0, weighting=None, tokens=6.0,
            mse=0.012, swept=(), reference_arm=None, collapsed=False, course=()):  # fmt: skip
    """A record of a policy on `tokenizer()`."""
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
    return record(arm, swept, reference_arm=reference_arm, training_seed=training_seed,
                   results=results, policy=policy)  # fmt: skip


def allocator(arm="heuristics", *, allocator=None, training_seed=0, tokens=6.0, mse=0.013,
               skill=0.2, seed=0, swept=()):  # fmt: skip
    """A made-up record of an allocator that is no policy, on `tokenizer()`."""
    record = policy(arm, skill=skill, training_seed=training_seed, tokens=tokens, mse=mse,
                     swept=swept)  # fmt: skip
    allocator = allocator or {"kind": "png_size", "candidates": None, "mean_budget": 6.0}
    settings = {"policy": None, "allocator": allocator, "evaluation": {"seed": seed}}
    if allocator["kind"] == "own":
        settings |= {"bank.own_targets": [allocator["target"]], "tokenizer.encoding": "halting"}
    passes = {"encoder_passes": 1.0, "decoder_passes": 0.0}
    return vary(record, metrics=passes, settings=settings, histories={},
                 allocator=allocator["kind"])  # fmt: skip


def generated(arm="end token", *, seed=0, generation=(), settings=(), length_from=None,
               **metrics):  # fmt: skip
    """A record of samples; `generation` are fields of `Generation`, the others are empty."""
    record = tokenizer(arm, seed=seed)
    found = {
        "lengths": {}, "unended": 0, "distance": {}, "by_length": [], "by_group": [],
        "by_class": [], "sampling": {}, **dict(generation),
    }  # fmt: skip
    return vary(
        record, kind="generation", curve=[], trade_offs={}, generation=found, settings=settings,
        length_from=length_from, metrics={"mean_tokens": 4.0, **metrics},
        protocol={**PROTOCOL, "reference": "unpaired originals", "sampling": {}},
    )  # fmt: skip


def speed_row(arm, mode, *, ratio=1.0, **values):
    speed = {"median": 100.0 * ratio, "quartile_low": 90.0 * ratio, "quartile_high": 110.0 * ratio}
    return {
        "arm": arm, "mode": mode, "batch": 8, "guidance": False, "guidance_scale": 1.0,
        "pixels": False, "images": 16, "images_per_second": speed, "tokens_per_second": speed,
        "ratio": ratio, "ratio_quartiles": [ratio, ratio], "of_ideal": None, "occupancy": None,
        "first_image_seconds": 0.5, "peak_memory_bytes": 100 << 20, **values,
    }  # fmt: skip


def timed(arm="policy lengths", *, rows, cost=(), lengths=()):
    """A record of a throughput; a row needs `arm` and `mode`, a cost `position` and `seconds`."""
    steps = [{"batch": 8, "guidance": False, "guidance_scale": 1.0, **step} for step in cost]
    speed = {
        "weights": "random", "device": "cpu", "threads": 2, "load_average": [0.0, 0.0],
        "precision": "float32", "parameters": 1000, "vocabulary_size": 64, "repeats": 3,
        "rows": [speed_row(**row) for row in rows], "cost_by_position": steps,
        "lengths": {"kind": "policy", "fixed": 256, "mean": 118.0, "shares": {},
                    "token_ratio": 2.2, **dict(lengths)},
    }  # fmt: skip
    return vary(tokenizer(arm), kind="throughput", curve=[], trade_offs={}, throughput=speed)


def failed(record, error="tokenizer: DivergedError: loss is not finite"):
    """The same cell without a result."""
    raw = {name: value for name, value in record.plain().items() if name not in RESULTS}
    return parsed(raw | {"status": "failed", "error": error, "stages": []})


def at_steps(records, arm, swept, **settings):
    """The records as cells of this arm, trained with other settings; `swept` name them."""
    apart = ", ".join(f"{path} {value}" for path, value in swept.items())
    group = f"{arm}: {apart}" if apart else arm
    return [
        vary(
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


def fixed_distortion(tokens):
    return 0.03 * tokens**-0.4
