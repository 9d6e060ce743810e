"""The evaluation stage: one allocation on the validation bank, with its controls."""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from adatok_core.policy import BudgetPolicy
from adatok_core.tokenizer import parameter_count
from bench import allocation
from bench.bank import PER_BUDGET, Bank
from bench.metrics.frechet import FrechetReference, gaussian_statistics
from bench.metrics.kernel import KernelReference
from bench.policy_features import PolicyFeatures, policy_features
from bench.protocol import Protocol
from bench.stage import StageContext
from bench.stages.policy import load_policy
from bench.stages.tokenizer import load_tokenizer
from bench.throughput import policy_time_share

FRECHET_NAMES = {"lite0": "fd_lite0", "inception": "rfid"}
CURVE_POINTS = 49
POLICY_BATCH = 512
TIMED_IMAGES = 64
KERNEL_NAMES = {"lite0": "kid_lite0", "inception": "kid"}


def run(context: StageContext) -> dict[str, Any]:
    """Metrics of a policy's allocation, or of each fixed budget when the cell has no policy.

    Per-image results go to `images.parquet`.
    """
    bank = Bank.read(context.inputs["bank"])
    judge = _Judge(bank)
    rng = np.random.default_rng(context.spec.config["seed"])
    if "policy" in context.inputs:
        result, chosen = _policy(context, bank, judge, rng)
    else:
        result, chosen = _fixed(bank, judge)
    table = bank.table().iloc[np.arange(len(chosen)) * len(bank.budgets) + chosen]
    table.to_parquet(context.work / "images.parquet", index=False)
    protocol = Protocol.of_bank(bank.about)
    return {
        **result,
        "codebook": bank.about["codebook"],
        "throughput": bank.about["throughput"],
        "tokenizer_parameters": bank.about["parameters"],
        "protocol": asdict(protocol),
        "protocol_hash": protocol.hash,
    }


class _Judge:
    """Metrics of allocations on one bank; the reference sides are computed once."""

    def __init__(self, bank: Bank):
        self.bank = bank
        self.errors = {
            name: bank.per_budget(name) for name in PER_BUDGET if name in bank.about["arrays"]
        }
        originals = {name: bank.array(f"{name}_originals") for name in bank.extractors}
        self.frechet = {n: FrechetReference(gaussian_statistics(f)) for n, f in originals.items()}
        self.kernel = {name: KernelReference(features) for name, features in originals.items()}

    def metrics(self, chosen: np.ndarray, *, kernel: bool = True) -> dict[str, float]:
        """Tokens, errors and distances of the allocation `chosen [n]` (columns of the bank).

        The kernel distance costs as much as all else together: controls go without.
        """
        tokens = self.bank.budgets[chosen]
        rows = np.arange(len(chosen))
        values = {
            "mean_tokens": float(tokens.mean()),
            "min_tokens": int(tokens.min()),
            "max_tokens": int(tokens.max()),
        }
        values |= {name: float(table[rows, chosen].mean()) for name, table in self.errors.items()}
        for name in self.bank.extractors:
            features = self.bank.features(name, chosen)
            statistics = gaussian_statistics(features)
            values[FRECHET_NAMES[name]] = self.frechet[name].distance(statistics)
            if kernel:
                values[KERNEL_NAMES[name]] = self.kernel[name].distance(features)
        return values

    def speed(self, chosen: np.ndarray) -> dict[str, float]:
        """Images per second, from the bank's measurements.

        Decoding is batched by budget: seconds per image are averaged over the chosen budgets.
        """
        measured = self.bank.about["throughput"]
        rates = measured["decode_images_per_second"]
        seconds = np.array([1 / rates[str(budget)]["median"] for budget in self.bank.budgets])
        return {
            "encode_images_per_second": measured["encode_images_per_second"]["median"],
            "decode_images_per_second": float(1 / seconds[chosen].mean()),
        }

    def bits(self, chosen: np.ndarray, candidates: int) -> float:
        """Mean bits per image: the quantizer's bits per token, and `log2 M` to say which budget."""
        per_token = self.bank.about["bits_per_token"]
        return float(self.bank.budgets[chosen].mean() * per_token + math.log2(candidates))


def _fixed(bank: Bank, judge: _Judge) -> tuple[dict[str, Any], np.ndarray]:
    count = len(bank.array("ids"))
    curve = []
    for column, budget in enumerate(bank.budgets):
        chosen = np.full(count, column)
        row = {"budget": int(budget), "trained": bank.about["trained"][column]}
        row |= judge.metrics(chosen) | judge.speed(chosen)
        curve.append({**row, "bits": judge.bits(chosen, 1)})
    metrics = {n: value for n, value in curve[-1].items() if n not in ("budget", "trained")}
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
    context: StageContext, bank: Bank, judge: _Judge, rng: np.random.Generator
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
