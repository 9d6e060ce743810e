"""Records of made-up cells as plain values, to be written into a store and compared."""

from dataclasses import asdict

from adatok_core.config import PolicyConfig, TrainingConfig
from bench.config.cell import CellConfig
from bench.data.datasets import FluentScenes
from bench.records.protocol import Protocol
from bench.records.record import SCHEMA_VERSION
from bench.suite.cells import Cell

IMAGES = 60
PROTOCOL = asdict(
    Protocol(
        images_digest="d",
        images_count=IMAGES,
        resolution=32,
        estimators={},
        extractors={"lite0": {"weights_sha256": "w", "input_px": 64}},
        versions={},
    )
)
PROVENANCE = {
    **{"git_commit": None, "git_dirty": None, "packages": {}, "python": "3.11"},
    **{"platform": "Linux", "host": "made", "cpus": 2},
}
MSE = {0: 0.0100, 1: 0.0120, 2: 0.0110}


def settings(seed, policy):
    config = CellConfig(
        data=FluentScenes(train=8, validation=8),
        training=TrainingConfig(seed=seed),
        policy=policy and PolicyConfig(candidates=tuple(policy)),
    )
    return Cell("arm", config, {}).settings


def record(arm="arm", *, seed=0, metrics=None, curve=(), swept=(), policy=None, **changes):
    swept = dict(swept)
    named = ", ".join(f"{path} {value}" for path, value in swept.items())
    group = f"{arm}: {named}" if named else arm
    known = {
        "schema_version": SCHEMA_VERSION,
        "suite": "made",
        "question": "Which?",
        "cell_key": f"{group}, seed {seed}".replace(" ", "_").replace(":", ""),
        "arm": arm,
        "label": f"{group}, seed {seed}",
        "group": group,
        "swept": {**swept, "training.seed": seed},
        "reference_arm": None,
        "length_from": None,
        "settings": settings(seed, policy),
        "status": "done",
        "error": None,
        "stages": [],
        "provenance": PROVENANCE,
    }
    results = {
        "metrics": {"mean_tokens": 4.0, **(metrics or {})},
        "curve": list(curve),
        "controls": {},
        "histories": {},
        "protocol": PROTOCOL,
        "protocol_hash": "0" * 16,
    }
    done = changes.get("status", "done") == "done"
    return {**known, **(results if done else {}), **changes}


def arm(name, mse=MSE, **options):
    return [
        record(name, seed=seed, metrics={"mse": value}, **options) for seed, value in mse.items()
    ]


def changed(gains, mse=MSE):
    return {seed: mse[seed] + gain for seed, gain in zip(mse, gains, strict=True)}


def curve(values, **more):
    return [
        {"budget": budget, "trained": True, "mean_tokens": budget, "mse": value, **more}
        for budget, value in values.items()
    ]
