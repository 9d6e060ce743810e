"""The evaluation stage: one allocation on the validation bank, with its controls."""

from __future__ import annotations

import copy
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch

from adatok_core.tokenizer import parameter_count
from bench.allocators import allocation
from bench.allocators.base import Allocation, Allocator, Fitting, Seen
from bench.allocators.build import build_allocator
from bench.allocators.learned import LearnedPolicy
from bench.allocators.own import OwnBank
from bench.allocators.view import seen_of
from bench.artifacts.bank import Bank
from bench.artifacts.decodings import Decodings
from bench.artifacts.gallery import Gallery
from bench.artifacts.networks import load_decodings
from bench.config.allocators import ALLOCATORS, AllocatorSettings, OwnConfig
from bench.config.evaluation import EvaluationConfig
from bench.config.settings import parse
from bench.data.image_set import read_image_set
from bench.errors import UserError
from bench.judging.controls import Candidates, controls, passes
from bench.judging.judge import Judge
from bench.metrics.weight_files import weights_of_runtime
from bench.records.protocol import Protocol
from bench.speed.throughput import SHARE_SECONDS, policy_time_share
from bench.stages.declared.evaluation import STAGE
from bench.stages.gallery import allocation_gallery, curve_gallery, own_gallery
from bench.stages.png_sizes import read_png_sizes
from bench.store.stage import StageContext

CURVE_POINTS = 49
TIMED_IMAGES = 16


def run(context: StageContext) -> dict[str, Any]:
    """Metrics of an allocation with its controls, or of each fixed budget where a cell has none.

    Per-image results go to `images.parquet`: id, hash, budget, `png_bytes` of the original and all
    that the bank measured, one row per image at the budget it got. A cell without an allocation has
    a row per image *and* budget, so that nothing of the curve is lost. A few images go to a gallery
    (`bench.artifacts.gallery`).

    Raises:
        UserError: the bank has not what the allocator needs, too few images for what is asked, or a
            mean budget cannot be had.
    """
    bank = _bank(context, "bank")
    config = _allocator_config(context)
    judge = _judge(context, bank)
    if isinstance(config, OwnConfig):
        result, table = _own(context, judge, config)
    elif config is not None or "policy" in context.inputs:
        result, table = _allocated(context, judge, config)
    else:
        result, table = _curve(context, judge), bank.table()
    table = _with_png_sizes(context, bank, table)
    _gallery(context, bank, config, table).write(context.work)
    table.to_parquet(context.work / "images.parquet", index=False)
    protocol = Protocol.of_bank(bank.about, estimators=judge.estimators)
    return {
        **result,
        "codebook": bank.about["codebook"],
        "throughput": bank.about["throughput"],
        "tokenizer_parameters": bank.about["parameters"],
        "protocol": protocol.plain(),
        "protocol_hash": protocol.hash,
    }


def _bank(context: StageContext, name: str) -> Bank:
    """A bank among the inputs; all of them are of the tokenizer that is an input too."""
    bank = Bank.read(context.inputs[name])
    bank.require_tokenizer(context.inputs["tokenizer"])
    return bank


def _with_png_sizes(context: StageContext, bank: Bank, table: pd.DataFrame) -> pd.DataFrame:
    """The table with each image's PNG size; its rows go image by image."""
    sizes = read_png_sizes(context.inputs["png_sizes"])[: bank.about["images"]["count"]]
    return table.assign(png_bytes=np.repeat(sizes, len(table) // len(sizes)))


def _gallery(
    context: StageContext, bank: Bank, config: AllocatorSettings | None, table: pd.DataFrame
) -> Gallery:
    images = read_image_set(context.inputs["images"])
    decodings, device = _decodings(context), context.spec.resources.device
    if isinstance(config, OwnConfig) and decodings.tokenizer is not None:
        return own_gallery(images, decodings.tokenizer, table, config.target, device=device)
    if config is None and "policy" not in context.inputs:
        return curve_gallery(bank, images, decodings, table, device=device)
    return allocation_gallery(bank, images, decodings, table, device=device)


def _decodings(context: StageContext) -> Decodings:
    reconstructions = context.spec.runtime.get("reconstructions")
    return load_decodings(
        context.inputs["tokenizer"],
        reconstructions=reconstructions,
        device=context.spec.resources.device,
    )


def _judge(context: StageContext, bank: Bank) -> Judge:
    """Raises `UserError` where the bank has too few images."""
    config = context.spec.config
    settings = EvaluationConfig.of_stage(config)
    STAGE.require_images(config, bank.about["images"]["count"])
    return Judge(
        bank,
        kid_subset=settings.kid_subset,
        generative=settings.generative,
        weights=weights_of_runtime(context.spec.runtime),
    )


def _allocator_config(context: StageContext) -> AllocatorSettings | None:
    raw = context.spec.config.get("allocator")
    if raw is None:
        return None
    config: AllocatorSettings = parse(ALLOCATORS[raw["kind"]].config, raw, where="allocator")
    return config


def _curve(context: StageContext, judge: Judge) -> dict[str, Any]:
    bank, curve = judge.bank, []
    trained = np.flatnonzero(bank.about["trained"])
    for column, budget in enumerate(bank.budgets):
        fixed = Allocation(np.full(bank.about["images"]["count"], column))
        row = {"budget": int(budget), "trained": bank.about["trained"][column]}
        row |= judge.metrics(fixed.chosen) | passes(fixed) | judge.speed(fixed.chosen)
        curve.append({**row, **judge.bits(fixed.chosen, 1)})
        context.progress(len(curve), len(bank.budgets), "budgets")
    metrics = {n: value for n, value in curve[-1].items() if n not in ("budget", "trained")}
    metrics |= judge.details(judge.features(fixed.chosen))
    return {
        "allocator": "fixed",
        "metrics": metrics | _codebook_metrics(bank),
        "curve": curve,
        "trade_offs": _trade_offs(judge.errors["mse"][:, trained], bank.budgets[trained]),
        "controls": {},
    }


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
    """Those that are known of a tokenizer of which there may be reconstructions alone."""
    metrics, codebook = {}, bank.about["codebook"]
    if codebook is not None:
        metrics["codebook_usage"] = codebook["usage"]
        metrics["codebook_entropy_bits"] = codebook["entropy_bits"]
    if bank.about["bits_per_token"] is not None:
        metrics["bits_per_token"] = bank.about["bits_per_token"]
    return metrics


def _allocated(
    context: StageContext, judge: Judge, config: AllocatorSettings | None
) -> tuple[dict[str, Any], pd.DataFrame]:
    bank = judge.bank
    chooser = config or LearnedPolicy.load(
        context.inputs["policy"],
        tokenizer=context.inputs["tokenizer"],
        patch_size=bank.about["patch_size"],
    )
    candidates = Candidates(judge, _columns(bank, chooser.candidates))
    fitting = _fitting(context, bank, candidates)
    allocator: Allocator = (
        chooser if isinstance(chooser, LearnedPolicy) else build_allocator(chooser, fitting)
    )
    allocated = allocator.allocate(fitting.judged.only(allocator.sees))
    metrics = candidates.metrics(allocator, allocated)
    metrics |= judge.details(judge.features(candidates.columns[allocated.chosen]))
    metrics |= _choice_metrics(candidates, allocated) | _codebook_metrics(bank)
    if isinstance(chooser, LearnedPolicy):
        metrics |= _policy_cost(chooser, fitting.judged, context)
    return {
        "allocator": allocator.name if config is None else config.kind,
        "metrics": metrics | dict(allocated.about),
        "curve": [],
        "trade_offs": {},
        "controls": controls(
            candidates,
            fitting,
            mean_tokens=metrics["mean_tokens"],
            chosen=allocated.chosen,
            heuristics=context.spec.config["heuristics"],
            progress=partial(context.progress, note="controls"),
        ),
    }, bank.rows(candidates.columns[allocated.chosen])


def _columns(bank: Bank, candidates: tuple[int, ...] | None) -> np.ndarray:
    """Columns of the candidates, by default of the budgets that were trained."""
    if candidates is not None:
        return bank.columns(list(candidates))
    trained = np.flatnonzero(bank.about["trained"])
    if len(trained) < 2:
        raise UserError(
            f"allocator.candidates: {len(trained)} of the bank's budgets "
            f"{bank.budgets.tolist()} were trained, too few to choose from; name the candidates"
        )
    return trained


def _fitting(context: StageContext, bank: Bank, candidates: Candidates) -> Fitting:
    columns, given = candidates.columns, context.inputs

    def seen(name: str) -> Seen | None:
        if name not in given:
            return None
        return seen_of(_bank(context, name), images=given.get(f"{name}_images"), columns=columns)

    return Fitting(
        budgets=candidates.budgets,
        judged=seen_of(bank, images=given.get("images"), columns=columns),
        training=seen("training"),
        calibration=seen("calibration"),
        seed=context.spec.config["seed"],
    )


def _choice_metrics(candidates: Candidates, allocated: Allocation) -> dict[str, Any]:
    """How the choice is spread, and what it makes of speed and bits."""
    judge, columns = candidates.judge, candidates.columns
    chosen, shares = (
        columns[allocated.chosen],
        allocation.budget_shares(allocated.chosen, len(columns)),
    )
    untrained = ~np.array(judge.bank.about["trained"])
    return {
        "collapsed": allocation.is_collapsed(allocated.chosen, len(columns)),
        **{
            f"share/tokens_{budget}": float(share)
            for budget, share in zip(candidates.budgets, shares, strict=True)
        },
        **judge.speed(chosen),
        **judge.bits(chosen, len(columns)),
        "untrained_share": float(untrained[chosen].mean()),
    }


def _policy_cost(learned: LearnedPolicy, seen: Seen, context: StageContext) -> dict[str, float]:
    """Size and time of the policy as shares of the tokenizer's and of its encoder's.

    Times are those of a few images on the stage's device.

    Nothing where there is no tokenizer to be measured.
    """
    tokenizer, device = _decodings(context).tokenizer, context.spec.resources.device
    if tokenizer is None:
        return {}
    parameters = parameter_count(learned.policy)
    whole, encoder = tokenizer.parameter_counts()
    count = min(TIMED_IMAGES, seen.count)
    side = tokenizer.image_size
    images = torch.rand(count, 3, side, side, device=device)
    features = learned.features(seen).load(torch.arange(count)).to(device)
    policy = copy.deepcopy(learned.policy).to(device)
    return {
        **({"policy_parameter_share": parameters / whole} if whole else {}),
        **({"policy_encoder_parameter_share": parameters / encoder} if encoder else {}),
        "policy_time_share": policy_time_share(
            lambda count: tokenizer.encode(images[:count]),
            lambda count: policy.choose(features[:count]),
            images=count,
            device=device,
            seconds=0 if context.dry else SHARE_SECONDS,
        ),
    }


def _own(
    context: StageContext, judge: Judge, config: OwnConfig
) -> tuple[dict[str, Any], pd.DataFrame]:
    """The tokenizer's own allocation, judged against mixtures of its fixed budgets.

    Its budgets are no candidates, so they cannot be shuffled; where its mean tokens lie outside the
    candidates there is nothing to compare with, so no skill and no controls.
    """
    bank = judge.bank
    own = OwnBank.of(bank)
    chosen = np.full(bank.about["images"]["count"], own.column(config.target))
    candidates = Candidates(judge, _columns(bank, config.candidates))
    own_judge, tokens = _judge(context, own), own.tokens(chosen)
    metrics = own_judge.metrics(chosen) | passes(Allocation(chosen))
    metrics |= own_judge.details(own_judge.features(chosen))
    metrics |= candidates.skills(metrics) | {
        "collapsed": allocation.is_collapsed(tokens, int(tokens.max()) + 1),
        **own_judge.bits(chosen, bank.about["max_tokens"]),
    }
    mean_tokens, budgets = metrics["mean_tokens"], candidates.budgets
    return {
        "allocator": config.kind,
        "metrics": metrics | _codebook_metrics(bank),
        "curve": [],
        "trade_offs": {},
        "controls": controls(
            candidates,
            _fitting(context, bank, candidates),
            mean_tokens=mean_tokens,
            chosen=None,
            heuristics=context.spec.config["heuristics"],
            progress=partial(context.progress, note="controls"),
        )
        if budgets[0] <= mean_tokens <= budgets[-1]
        else {},
    }, own.rows(chosen)
