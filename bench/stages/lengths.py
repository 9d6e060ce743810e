"""The lengths stage: a trained policy applied to every image of a split.

Done in shards, so that an interrupted stage goes on with the first that is missing or torn.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from adatok_core.tokenizer import ElasticTokenizer, to_float
from bench.allocators.base import Seen
from bench.allocators.learned import LearnedPolicy
from bench.artifacts.networks import load_elastic
from bench.data.image_set import read_image_set
from bench.store.checkpoints import is_whole, load_tensors, save_tensors
from bench.store.stage import StageContext

FILE = "lengths.npy"


def run(context: StageContext) -> dict[str, Any]:
    """Choose a length for each of the input `images`; the artifact is `lengths.npy`, int64 `[n]`.

    A policy's bank may hold some of these images only; here all are encoded, once, at full length.
    """
    config, device = context.spec.config, context.spec.resources.device
    pixels = read_image_set(context.inputs["images"]).pixels
    tokenizer = load_elastic(context.inputs["tokenizer"], device=device)
    learned = LearnedPolicy.load(
        context.inputs["policy"],
        tokenizer=context.inputs["tokenizer"],
        patch_size=tokenizer.patch_size,
    )
    shards = []
    for first in range(0, len(pixels), config["shard"]):
        shards.append(context.work / f"shard-{first:09d}.safetensors")
        if not is_whole(shards[-1]):
            part = pixels[first : first + config["shard"]]
            chosen = _chosen(learned, tokenizer, part, batch=config["batch"], device=device)
            save_tensors(shards[-1], {"lengths": torch.from_numpy(chosen)}, about={}, sealed=True)
            context.progress(first + len(part), len(pixels), "images")
    lengths = np.concatenate([load_tensors(shard)[0]["lengths"].numpy() for shard in shards])
    np.save(context.work / FILE, lengths, allow_pickle=False)
    for shard in shards:
        shard.unlink()
    values, counts = np.unique(lengths, return_counts=True)
    return {
        "count": len(lengths),
        "mean_tokens": float(lengths.mean()),
        "images_by_tokens": dict(zip(map(str, values.tolist()), counts.tolist(), strict=True)),
    }


@torch.inference_mode()
def _chosen(
    learned: LearnedPolicy,
    tokenizer: ElasticTokenizer,
    pixels: np.ndarray,
    *,
    batch: int,
    device: str,
) -> np.ndarray:
    """Lengths `[n]` of images uint8 `[n, 3, H, W]`, seen as a bank holds them."""
    candidates = np.array(learned.candidates, dtype=np.int64)
    lengths = []
    for first in range(0, len(pixels), batch):
        part = np.array(pixels[first : first + batch])
        seen = Seen(count=len(part), nested=tokenizer.nested, pixels=part)
        if not learned.sees <= {"pixels"}:
            ids, latents = tokenizer.encode(to_float(torch.from_numpy(part).to(device)))
            seen = replace(seen, ids=ids.cpu().numpy(), latents=latents.half().cpu().numpy())
        lengths.append(candidates[learned.allocate(seen.only(learned.sees)).chosen])
    return np.concatenate(lengths)


def read_lengths(artifact: Path) -> np.ndarray:
    """The length of each image of the set, int64 `[n]`."""
    lengths: np.ndarray = np.load(artifact / FILE, allow_pickle=False)
    return lengths
