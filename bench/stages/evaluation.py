"""The evaluation stage: one allocation on the validation bank, with its controls."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from adatok_core.policy import BudgetPolicy
from adatok_core.tokenizer import parameter_count
from bench import allocation
from bench.bank import Bank
from bench.cell import EvaluationConfig
from bench.errors import UserError
from bench.judge import Judge
from bench.policy_features import PolicyFeatures, policy_features
from bench.protocol import Protocol
from bench.stage import StageContext
from bench.stages.policy import load_policy
from bench.stages.tokenizer import load_tokenizer
from bench.throughput import policy_time_share

CURVE_POINTS = 49
POLICY_BATCH = 512
TIMED_IMAGES = 64


def run(context: StageContext) -> dict[str, Any]:
    """Metrics of a policy's allocation, or of each fixed budget when the cell has no policy.

    Per-image results go to `images.parquet`.

    Raises:
        UserError: the bank has too few images for what is asked.
    """
    bank = Bank.read(context.inputs["bank"])
    settings = EvaluationConfig(**context.spec.config)
    problem = settings.problem(bank.about["images"]["count"])
    if problem:
        raise UserError(problem)
    judge = Judge(
        bank,
        kid_subset=settings.kid_subset,
        generative=settings.generative,
        inception_weights=context.spec.runtime.get("inception_weights"),
    )
    rng = np.random.default_rng(settings.seed)
    if "policy" in context.inputs:
        result, chosen = _policy(context, bank, judge, rng)
    else:
        result, chosen = _fixed(bank, judge)
    table = bank.table().iloc[np.arange(len(chosen)) * len(bank.budgets) + chosen]
    table.to_parquet(context.work / "images.parquet", index=False)
    protocol = Protocol.of_bank(bank.about, estimators=judge.estimators)
    return {
        **result,
        "codebook": bank.about["codebook"],
        "throughput": bank.about["throughput"],
        "tokenizer_parameters": bank.about["parameters"],
        "protocol": asdict(protocol),
        "protocol_hash": protocol.hash,
    }


def _fixed(bank: Bank, judge: Judge) -> tuple[dict[str, Any], np.ndarray]:
    count = len(bank.array("ids"))
    curve = []
    for column, budget in enumerate(bank.budgets):
        chosen = np.full(count, column)
        row = {"budget": int(budget), "trained": bank.about["trained"][column]}
        row |= judge.metrics(chosen) | judge.speed(chosen)
        curve.append({**row, "bits": judge.bits(chosen, 1)})
    metrics = {n: value for n, value in curve[-1].items() if n not in ("budget", "trained")}
    metrics |= judge.details(judge.features(chosen))
    trained = np.flatnonzero(bank.about["trained"])
    return {
        "allocator": "fixed",
        "metrics": metrics | _codebook_metrics(bank),
        "curve": curve,
        "trade_offs": _trade_offs(judge.errors["mse"][:, trained], bank.budgets[trained]),
        "controls": {},
    }, chosen


def _trade_offs(distortion: np.ndarray, budgets: np.ndarray) -> dict[str, list[list[float]]]:
    """The agnostic and the oracle curve as (mean tokens, distortion), for plots.

    Over trained lengths only: a mixture must not owe anything to the others.
    """
    if len(budgets) < 2:
        return {}
    agnostic = allocation.agnostic_curve(distortion, budgets)
    oracle = allocation.oracle_curve(distortion, budgets)
    tokens = np.geomspace(budgets[0], budgets[-1], CURVE_POINTS)
    return {
        name: [[float(t), curve.at(t)] for t in tokens]
        for name, curve in (("agnostic", agnostic), ("oracle", oracle))
    }


def _codebook_metrics(bank: Bank) -> dict[str, float]:
    return {
        "codebook_usage": bank.about["codebook"]["usage"],
        "codebook_entropy_bits": bank.about["codebook"]["entropy_bits"],
        "bits_per_token": bank.about["bits_per_token"],
    }


def _policy_cost(
    policy: BudgetPolicy, seen: PolicyFeatures, artifact: Path, bank: Bank
) -> dict[str, float]:
    """Size and time of the policy as shares of the tokenizer's and of its encoder's."""
    tokenizer = load_tokenizer(artifact)
    parameters = parameter_count(policy)
    images = torch.rand(TIMED_IMAGES, 3, bank.about["resolution"], bank.about["resolution"])
    features = seen.load(torch.arange(min(TIMED_IMAGES, len(bank.array("ids")))))
    return {
        "policy_parameter_share": parameters / bank.about["parameters"],
        "policy_encoder_parameter_share": parameters / parameter_count(tokenizer.encoder),
        "policy_time_share": policy_time_share(
            lambda: tokenizer.encode(images[: len(features)]), lambda: policy.choose(features)
        ),
    }


def _policy(
    context: StageContext, bank: Bank, judge: Judge, rng: np.random.Generator
) -> tuple[dict[str, Any], np.ndarray]:
    policy, config = load_policy(context.inputs["policy"])
    seen = policy_features(
        config, bank, tokenizer=context.inputs["tokenizer"], images=context.inputs.get("images")
    )
    rows = torch.arange(len(bank.array("ids")))
    with torch.inference_mode():
        logits = torch.cat([policy(seen.load(part)) for part in rows.split(POLICY_BATCH)])
        log_policy = logits.log_softmax(-1)
        picked = log_policy.argmax(-1).numpy()
        entropy = float(-(log_policy.exp() * log_policy).sum(-1).mean())
    columns = bank.columns(list(config.candidates))
    budgets = bank.budgets[columns]
    distortion = judge.errors["mse"][:, columns]
    mean_tokens = float(budgets[picked].mean())
    controls = {
        "fixed": allocation.fixed_allocation(budgets, len(picked), mean_tokens, rng),
        "agnostic": allocation.agnostic_allocation(distortion, budgets, mean_tokens, rng),
        "shuffled": allocation.shuffled_allocation(picked, rng),
        "oracle": allocation.oracle_allocation(distortion, budgets, mean_tokens),
    }
    chosen = columns[picked]
    shares = allocation.budget_shares(picked, len(columns))
    metrics = {
        **judge.metrics(chosen),
        **judge.details(judge.features(chosen)),
        "allocation_skill": allocation.allocation_skill(distortion, budgets, picked),
        "policy_entropy": entropy,
        "collapsed": allocation.is_collapsed(picked, len(columns)),
        **{f"share/tokens_{b}": float(s) for b, s in zip(budgets, shares, strict=True)},
        **judge.speed(chosen),
        "bits": judge.bits(chosen, len(columns)),
        "untrained_share": float((~np.array(bank.about["trained"]))[chosen].mean()),
        **_codebook_metrics(bank),
        **_policy_cost(policy, seen, context.inputs["tokenizer"], bank),
    }
    if "perceptual" in judge.errors:
        metrics["allocation_skill_perceptual"] = allocation.allocation_skill(
            judge.errors["perceptual"][:, columns], budgets, picked
        )
    return {
        "allocator": "policy",
        "metrics": metrics,
        "curve": [],
        "trade_offs": {},
        "controls": {
            name: {
                **judge.metrics(columns[rows], kernel=False),
                "allocation_skill": allocation.allocation_skill(distortion, budgets, rows),
            }
            for name, rows in controls.items()
        },
    }, chosen
