"""The samples stage: images from a generator, their lengths, and how far they are from real ones.

Beside the samples stand reconstructions of as many training images of the same classes, at the
lengths that the generator learned from: what the samples of a perfect generator would come to.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from adatok_core.config import Sampling
from adatok_core.generator.requests import Finished, Request
from adatok_core.generator.schedule import decode
from bench.artifacts.networks import TrainedGenerator, load_generator, load_tokenizer
from bench.config.length_distributions import shares_of
from bench.config.settings import parse
from bench.errors import UserError
from bench.judging.length_distance import length_distances
from bench.memory import keep_freed_memory
from bench.speed.image_seeds import image_seed
from bench.stages.sample_gallery import write_gallery
from bench.stages.sample_measures import SampleMeasures, by_class
from bench.stages.token_sets import (
    Lengths,
    TokenSet,
    classes_in_proportion,
    read_token_sets,
    rows_like,
    rows_of_classes,
)
from bench.store.stage import StageContext

PORTION = 8  # Batches between two reports of progress.


def run(context: StageContext) -> dict[str, Any]:
    """Sample, decode, measure.

    `images.parquet` has a row per sample: its class, tokens, seed, and whether it was cut at the
    largest length for want of an end. `ids.npy` holds its ids, with -1 behind its last token.

    Raises:
        UserError: banks of another tokenizer, too few images, or none of a class that is asked for.
    """
    keep_freed_memory()
    config, inputs = context.spec.config, context.inputs
    sampling = parse(Sampling, config["sampling"], where="generation.sampling")
    trained = load_generator(inputs["generator"], device=context.spec.resources.device)
    lengths = Lengths(trained.budget, inputs["tokenizer"], inputs.get("policy"))
    data, learned = read_token_sets(
        inputs, ("bank", "training"), lengths, classes=trained.class_kind
    )
    wanted = rows_of_classes(data, config["labels"])
    data = data.rows(wanted)
    labels = classes_in_proportion(data.labels, config["images"])
    _require_known(np.unique(labels), trained)
    like = rows_like(labels, learned, conditional=trained.conditional, seed=config["seed"])
    stand_ins = learned.rows(like)
    finished = _sample(context, trained, labels, sampling)
    samples = _token_set(finished, labels, data.names)
    unended = np.array([one.unended for one in finished])

    tokenizer = load_tokenizer(inputs["tokenizer"], device=context.spec.resources.device)
    measures = SampleMeasures.of(context, tokenizer, trained, sampling, reference_rows=wanted)
    distance = length_distances(samples.lengths, data.lengths, seed=config["seed"])
    protocol = measures.protocol()
    measured, by_length, by_group = measures.all(samples, stand_ins, data)
    metrics = {
        "mean_tokens": float(samples.lengths.mean()),
        "min_tokens": int(samples.lengths.min()),
        "max_tokens": int(samples.lengths.max()),
        "mean_tokens_data": float(data.lengths.mean()),
        "unended_share": float(unended.mean()),
        "length_total_variation": distance["total_variation"]["value"],
        "length_wasserstein_1": distance["wasserstein_1"]["value"],
        **trained.held_out,
        **measured,
    }
    _write(context, samples, unended)
    write_gallery(context, tokenizer, samples, conditional=trained.conditional)
    return {
        "metrics": metrics,
        "curve": [],
        "controls": {},
        "generation": {
            "lengths": {
                "data": shares_of(data.lengths),
                "generated": shares_of(samples.lengths),
                "training": shares_of(learned.lengths),
            },
            "unended": int(unended.sum()),
            "distance": distance,
            "by_length": by_length,
            "by_group": by_group,
            "by_class": by_class(samples, data) if trained.conditional else [],
            "sampling": protocol.sampling,
        },
        "protocol": protocol.plain(),
        "protocol_hash": protocol.hash,
    }


def _require_known(classes: np.ndarray, trained: TrainedGenerator) -> None:
    unknown = sorted({*classes.tolist()} - {*trained.known_classes})
    if unknown and trained.conditional:
        raise UserError(
            f"generation.labels: class {unknown[0]} has validation images, but none in the bank "
            "that the generator learned from; raise bank.policy_images, or name other classes"
        )


def _sample(
    context: StageContext, trained: TrainedGenerator, labels: np.ndarray, sampling: Sampling
) -> list[Finished]:
    """A finished sequence for each label, in portions for the sake of progress."""
    config = context.spec.config
    requests = [
        Request(
            index=index,
            label=int(label) if trained.conditional else None,
            seed=image_seed(config["seed"], index),
            length=None,
        )
        for index, label in enumerate(labels)
    ]
    finished: list[Finished] = []
    portion = PORTION * config["batch"]
    for first in range(0, len(requests), portion):
        decoded = decode(
            trained.generator,
            trained.vocabulary,
            requests[first : first + portion],
            sampling=sampling,
            slots=config["batch"],
            mode="refilled",
            device=context.spec.resources.device,
        )
        finished += decoded.finished
        context.progress(len(finished), len(requests), "images sampled")
    return finished


def _token_set(finished: list[Finished], labels: np.ndarray, names: dict[int, str]) -> TokenSet:
    lengths = np.array([one.length for one in finished])
    ids = np.full((len(finished), lengths.max()), -1, dtype=np.int64)
    for row, one in enumerate(finished):
        ids[row, : one.length] = one.ids
    return TokenSet(ids, lengths, labels, names)


def _write(context: StageContext, samples: TokenSet, unended: np.ndarray) -> None:
    seed = context.spec.config["seed"]
    np.save(context.work / "ids.npy", samples.ids)
    count = len(samples.lengths)
    table = pd.DataFrame(
        {
            "id": [f"sample/{index:06d}" for index in range(count)],
            "label": samples.labels,
            "label_name": [samples.names[label] for label in samples.labels.tolist()],
            "budget": samples.lengths,
            "unended": unended,
            "seed": [image_seed(seed, index) for index in range(count)],
        }
    )
    table.to_parquet(context.work / "images.parquet", index=False)
