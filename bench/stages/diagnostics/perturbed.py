"""The stage of perturbed tokens: decodings of ids with noise, against the originals."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from adatok_core.protocols import Tokenizer
from adatok_core.tokenizer import ElasticTokenizer, to_float
from bench.artifacts.bank import Bank
from bench.artifacts.networks import load_tokenizer
from bench.config.evaluation import PerturbedConfig
from bench.config.settings import parse
from bench.data.image_set import ImageSet, read_image_set
from bench.judging.perturbation import Draws, any_codes, near_codes
from bench.judging.pictures import picture_features
from bench.metrics.extraction import BuiltExtractor, build_extractors
from bench.metrics.extractors import EXTRACTORS, SHIPPED
from bench.metrics.frechet import FrechetReference, gaussian_statistics
from bench.metrics.weight_files import weights_of_runtime
from bench.stages.declared.perturbed import STAGE
from bench.store.stage import StageContext


def run(context: StageContext) -> dict[str, Any]:
    """Fréchet distances at every budget, each alpha and number of neighbours; see `perturbation`.

    A row has one setting's; by budget, and in the metrics for the largest, stand their means.

    Raises:
        UserError: there are fewer images than asked for, or fewer codes than neighbours.
    """
    config, device = context.spec.config, context.spec.resources.device
    asked = parse(PerturbedConfig, config["perturbed"], where="evaluation.perturbed")
    bank = Bank.read(context.inputs["bank"])
    bank.require_tokenizer(context.inputs["tokenizer"])
    STAGE.require_images(config, bank.about["images"]["count"])
    count = asked.images or bank.about["images"]["count"]
    tokenizer = load_tokenizer(context.inputs["tokenizer"], device=device)
    images = read_image_set(context.inputs["images"])
    extractors = _extractors(context, bank)
    references = {
        one.name: FrechetReference(gaussian_statistics(bank.array(f"{one.name}_originals")[:count]))
        for one in extractors
    }
    draws = Draws.of(count, tokenizer.max_tokens, seed=asked.seed)
    rows: list[dict[str, Any]] = []
    settings = len(asked.alphas) * len(asked.neighbours or (0,))
    for budget in bank.budgets.tolist():
        ids = _ids(tokenizer, bank, images, budget, count, config["batch"], device)
        for neighbours, others in _replacements(tokenizer, draws, ids, asked):
            for alpha in asked.alphas:
                features = picture_features(
                    tokenizer,
                    draws.perturbed(ids, others, alpha=alpha),
                    np.full(count, budget),
                    extractors=extractors,
                    batch=config["batch"],
                    device=device,
                )
                rows.append(
                    {"budget": budget, "alpha": alpha, "neighbours": neighbours, "n": count}
                    | {
                        EXTRACTORS[name].feature_metrics().perturbed.name: references[
                            name
                        ].distance(gaussian_statistics(found))
                        for name, found in features.items()
                    }
                )
                context.progress(len(rows), settings * len(bank.budgets), "settings")
    names = [EXTRACTORS[one.name].feature_metrics().perturbed.name for one in extractors]
    by_budget = [
        {"budget": budget} | {name: _mean([row[name] for row in same]) for name in names}
        for budget, same in (
            (budget, list(found))
            for budget, found in itertools.groupby(rows, key=lambda row: row["budget"])
        )
    ]
    return {
        "perturbed": rows,
        "by_budget": by_budget,
        "metrics": {name: by_budget[-1][name] for name in names},
    }


def _mean(values: list[float]) -> float:
    return math.fsum(values) / len(values)


def _extractors(context: StageContext, bank: Bank) -> list[BuiltExtractor]:
    """Those of which the bank has the originals' features."""
    names = bank.extractors
    weights = weights_of_runtime(context.spec.runtime)
    built = build_extractors(
        resolution=context.spec.config["extractor_resolution"],
        device=context.spec.resources.device,
        second="lite1" in names,
        named=[name for name in names if name not in SHIPPED],
        weights=weights,
    )
    return [one for one in built if one.name in names]


@torch.inference_mode()
def _ids(
    tokenizer: Tokenizer,
    bank: Bank,
    images: ImageSet,
    budget: int,
    count: int,
    batch: int,
    device: str,
) -> np.ndarray:
    """Ids `[count, budget]`: the bank's, or encoded again where those of a budget are others."""
    if tokenizer.nested:
        return np.asarray(bank.array("ids")[:count, :budget]).astype(np.int64)
    encoded = [
        tokenizer.encode(to_float(torch.from_numpy(pixels).to(device)), budget)[0].cpu()
        for pixels in (
            np.array(images.pixels[first : min(first + batch, count)])
            for first in range(0, count, batch)
        )
    ]
    return torch.cat(encoded).numpy()


def _replacements(
    tokenizer: Tokenizer, draws: Draws, ids: np.ndarray, asked: PerturbedConfig
) -> Iterator[tuple[int | None, np.ndarray]]:
    """For each number of neighbours the ids that stand in for `ids [n, K]`, if all were replaced.

    Raises:
        UserError: there are fewer codes.
    """
    if asked.neighbours is None:
        yield None, any_codes(draws, tokenizer.code_sizes, tokens=ids.shape[1])
        return
    if not isinstance(tokenizer, ElasticTokenizer):
        raise TypeError("neighbours: codes of a tokenizer that is not trained here are not known")
    quantizer = tokenizer.quantizer
    device = next(tokenizer.parameters()).device
    for neighbours in asked.neighbours:
        yield (
            neighbours,
            near_codes(
                draws,
                ids,
                neighbours=neighbours,
                decode=lambda ids: quantizer.decode(ids.to(device)),
                size=quantizer.codebook_size,
            ),
        )
