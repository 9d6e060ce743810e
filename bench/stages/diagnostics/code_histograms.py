"""The stage of code histograms: codes of a generator's samples against those of real images."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import torch

from adatok_core.protocols import Tokenizer
from bench.artifacts.networks import load_generator, load_tokenizer
from bench.judging.code_distance import Codes, code_histograms
from bench.stages.token_sets import Lengths, TokenSet, read_token_sets, rows_like, rows_of_classes
from bench.store.stage import StageContext


def run(context: StageContext) -> dict[str, Any]:
    """Distances of the samples that the input `samples` holds, from the images it was judged by.

    Raises:
        UserError: a bank is of another tokenizer.
    """
    config, inputs = context.spec.config, context.inputs
    table = pd.read_parquet(inputs["samples"] / "images.parquet")
    labels = table["label"].to_numpy()
    ids = np.load(inputs["samples"] / "ids.npy", allow_pickle=False)
    samples = TokenSet(ids, table["budget"].to_numpy(), labels, {})
    trained = load_generator(inputs["generator"])
    lengths = Lengths(trained.budget, inputs["tokenizer"], inputs.get("policy"))
    data, learned = read_token_sets(
        inputs, ("bank", "training"), lengths, classes=trained.class_kind
    )
    data = data.rows(rows_of_classes(data, config["labels"]))
    like = rows_like(labels, learned, conditional=trained.conditional, seed=config["seed"])
    tokenizer = load_tokenizer(inputs["tokenizer"])
    found = code_histograms(
        *(_codes(tokenizer, images) for images in (samples, learned.rows(like), data))
    )
    return {"code_histograms": found.plain(), "metrics": found.metrics()}


def _codes(tokenizer: Tokenizer, images: TokenSet) -> Codes:
    """The codes of the tokens that images have; those behind are of no id."""
    ids = torch.from_numpy(np.maximum(images.ids, 0).astype(np.int64))
    return Codes(tokenizer.codes(ids).cpu().numpy(), images.lengths)
