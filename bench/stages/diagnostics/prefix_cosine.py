"""The stage of prefix cosines: how alike a prefix and all tokens look inside the decoder."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from adatok_core.tokenizer import ElasticTokenizer, to_float
from bench.artifacts.networks import load_elastic, read_trained_lengths
from bench.data.image_set import read_image_set
from bench.stages.declared.prefix_cosine import STAGE
from bench.store.stage import StageContext


def run(context: StageContext) -> dict[str, Any]:
    """Mean cosine of each budget's features to those of all tokens, over the first images.

    Features are those behind the decoder's first layer: the `P` queries that become pixels and the
    mean of the tokens, `P + 1` vectors, as NesTok's self-alignment takes them (arXiv 2609.36756,
    1 minus this cosine). Among the metrics stands the mean over the trained budgets but the
    largest, if there are others.

    Raises:
        UserError: there are fewer images than asked for.
    """
    config, device = context.spec.config, context.spec.resources.device
    images = read_image_set(context.inputs["images"])
    count: int = config["images"]
    STAGE.require_images(config, len(images.pixels))
    tokenizer = load_elastic(context.inputs["tokenizer"], device=device)
    budgets: list[int] = config["budgets"] or list(tokenizer.budgets)
    full, *prefixes = (first_layer(tokenizer, k) for k in (tokenizer.max_tokens, *budgets))
    sums = np.zeros(len(budgets))
    for first in range(0, count, config["batch"]):
        pixels = np.array(images.pixels[first : min(first + config["batch"], count)])
        cosines = prefix_cosines(to_float(torch.from_numpy(pixels).to(device)), full, prefixes)
        sums += cosines.double().sum(0).cpu().numpy()
        context.progress(min(first + config["batch"], count), count, "images")
    found = dict(zip(budgets, (sums / count).tolist(), strict=True))
    trained = read_trained_lengths(context.inputs["tokenizer"])
    below = [one for k, one in found.items() if k in trained and k < tokenizer.max_tokens]
    return {
        "by_budget": [{"budget": k, "prefix_cosine": one} for k, one in found.items()],
        "metrics": {"mean_prefix_cosine": sum(below) / len(below)} if below else {},
    }


@torch.inference_mode()
def prefix_cosines(
    images: Tensor, full: Callable[[Tensor], Tensor], prefixes: list[Callable[[Tensor], Tensor]]
) -> Tensor:
    """Cosines `[B, M]` of images `[B, 3, H, W]`, the mean over the vectors of each."""
    whole = full(images)
    return torch.stack(
        [F.cosine_similarity(features(images), whole, dim=-1).mean(-1) for features in prefixes], 1
    )


def first_layer(tokenizer: ElasticTokenizer, budget: int) -> Callable[[Tensor], Tensor]:
    """Features `[B, P + 1, D]` of images at a budget, by that budget's own head."""
    merged = tokenizer.merged_decoder(budget)
    queries = merged.decoder.grid**2
    seen: list[Tensor] = []
    block = merged.decoder.transformer.blocks[0]
    block.register_forward_hook(lambda module, given, features: seen.append(features))

    def features(images: Tensor) -> Tensor:
        ids, _ = tokenizer.encode(images, budget)
        merged(tokenizer.quantizer.decode(ids))
        layer = seen.pop()
        tokens = layer[:, queries : queries + budget].mean(1, keepdim=True)
        return torch.cat([layer[:, :queries], tokens], dim=1)

    return features
