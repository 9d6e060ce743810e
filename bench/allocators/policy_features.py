"""Features for a policy, read batch by batch from memory-mapped arrays: no copy per process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from adatok_core.config import PolicyConfig
from adatok_core.policy import patches_of
from adatok_core.quantizers import Quantizer
from bench.allocators.base import Seen
from bench.allocators.view import seen_of
from bench.artifacts.bank import Bank
from bench.artifacts.networks import load_elastic
from bench.errors import UserError

# What part of an image each input is read from.
INPUTS = {"latents": "latents", "quantized": "ids", "pixels": "pixels"}


@dataclass(frozen=True)
class PolicyFeatures:
    """`load(rows [b])` gives features `[b, length, width]` of images of a bank, float32."""

    load: Callable[[Tensor], Tensor]
    length: int
    width: int

    @staticmethod
    def of(load: Callable[[Tensor], Tensor]) -> PolicyFeatures:
        """With the shape that `load` shows for the first image."""
        _, length, width = load(torch.zeros(1, dtype=torch.int64)).shape
        return PolicyFeatures(load, length, width)


def policy_features(
    config: PolicyConfig, bank: Bank, *, tokenizer: Path | None, images: Path | None
) -> PolicyFeatures:
    """Features of the images of `bank`, of the kind that `config.input` names.

    `tokenizer` is the artifact whose quantizer knows the codes (input `quantized`), `images` the
    bank's images (input `pixels`).

    Raises:
        UserError: the tokenizer gives no features, and the input is `latents`.
    """
    quantizer = None
    if config.input == "quantized" and tokenizer is not None:
        quantizer = load_elastic(tokenizer).quantizer
    if config.input == "latents" and "latents" not in bank.about["arrays"]:
        raise UserError(
            "policy.input: latents: this tokenizer gives no features with its ids; set it to pixels"
        )
    seen = seen_of(bank, images=images, parts=frozenset({INPUTS[config.input]}))
    return features_of(config, seen, quantizer=quantizer, patch_size=bank.about["patch_size"])


def pooled_latents(latents: Tensor, count: int) -> Tensor:
    """Latents `[B, L, D]` averaged over `count` runs of neighbours, or as they are where fewer."""
    if latents.shape[1] <= count:
        return latents
    means = F.adaptive_avg_pool1d(latents.float().transpose(1, 2), count).transpose(1, 2)
    return means.to(latents.dtype)


def features_of(
    config: PolicyConfig,
    seen: Seen,
    *,
    quantizer: Quantizer | None,
    patch_size: int,
    length: int | None = None,
) -> PolicyFeatures:
    """Features of the kind that `config.input` names, from that part of what is `seen`.

    `length` is that of the features that a policy was trained on: of latents there may be more,
    which are pooled then as its bank's were.
    """
    part = seen.part(INPUTS[config.input])
    if config.input == "pixels":
        return PolicyFeatures.of(lambda rows: patches_of(_read(part, rows), patch_size))
    if config.input == "quantized":
        if quantizer is None:
            raise ValueError("quantizer: the input quantized needs the tokenizer's")
        ids = part[:, : config.prefix]
        return PolicyFeatures.of(lambda rows: _codes(quantizer, _read(ids, rows)))
    if length is not None and length < part.shape[1]:
        return PolicyFeatures.of(lambda rows: pooled_latents(_read(part, rows), length).float())
    return PolicyFeatures.of(lambda rows: _read(part, rows).float())


@torch.no_grad()
def _codes(quantizer: Quantizer, ids: Tensor) -> Tensor:
    return quantizer.decode(ids.long()).float()


def _read(array: np.ndarray, rows: Tensor) -> Tensor:
    return torch.from_numpy(np.asarray(array[rows.numpy()]))
