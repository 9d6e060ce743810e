"""What a bank holds of images: ids, features, errors at every budget, features of networks.

Nested tokens are encoded once, others once for every budget.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from adatok_core.tokenizer import to_float, to_uint8
from bench.allocators.policy_features import pooled_latents
from bench.artifacts.decodings import Decodings, Originals
from bench.artifacts.networks import self_halting
from bench.errors import UserError
from bench.metrics.extraction import BuiltExtractor, build_extractors
from bench.metrics.metric import Measure
from bench.metrics.per_image import load_measures
from bench.metrics.weight_files import weights_of_runtime
from bench.stages.banks.taken import TakenImages
from bench.store.stage import StageContext


def id_type(code_sizes: Sequence[int] | None) -> type[np.integer[Any]]:
    """The smallest type that holds all ids, with a sign where it can; 32 bits of unknown codes."""
    if code_sizes is None:
        return np.int32
    types = (np.int16, np.uint16, np.int32)
    return next((one for one in types if math.prod(code_sizes) - 1 <= np.iinfo(one).max), np.int64)


@dataclass(frozen=True, kw_only=True, eq=False)
class Content:
    """How the arrays of a bank are computed.

    With `features`, those of the extractors are kept, else their distances alone. `latents`: to how
    many vectors those of an image are averaged; all are kept where None, none at 0.
    """

    decodings: Decodings
    budgets: list[int]
    batch: int
    device: str
    features: bool
    extractors: list[BuiltExtractor] = field(default_factory=list)
    measures: dict[str, Measure] = field(default_factory=dict)
    own_targets: Sequence[float] = ()
    latents: int | None = None

    @staticmethod
    def of(context: StageContext, decodings: Decodings) -> Content:
        """As the stage's configuration has it."""
        config, device = context.spec.config, context.spec.resources.device
        extractors = (
            build_extractors(
                resolution=config["extractor_resolution"],
                device=device,
                second=config.get("second_extractor", False),
                named=config.get("extractors", ()),
                # A file may have changed since the stage was planned: it is checked again.
                weights=weights_of_runtime(context.spec.runtime),
            )
            if config["extractor_resolution"]
            else []
        )
        return Content(
            decodings=decodings,
            budgets=config["budgets"] or list(decodings.facts.budgets),
            batch=config["batch"],
            device=device,
            features=config["purpose"] == "evaluation",
            extractors=extractors,
            measures=load_measures(config.get("metrics", [])),
            own_targets=config.get("own_targets") or (),
            latents=config.get("latents"),
        )

    @torch.inference_mode()
    def arrays(self, images: TakenImages, first: int, last: int) -> dict[str, np.ndarray]:
        """Those of the images from `first` to `last`."""
        parts: dict[str, list[np.ndarray]] = {}
        for start in range(first, last, self.batch):
            stop = min(start + self.batch, last)
            for name, value in self._of_batch(images.originals(start, stop, self.device)).items():
                parts.setdefault(name, []).append(value)
        return {name: np.concatenate(values) for name, values in parts.items()}

    def _of_batch(self, originals: Originals) -> dict[str, np.ndarray]:
        found: dict[str, np.ndarray] = {}
        ids, latents = self.decodings.encoded(originals)
        if ids is not None:
            found["ids"] = ids.cpu().numpy().astype(id_type(self.decodings.facts.code_sizes))
        if latents is not None and self.latents != 0:
            kept = latents.half()
            if self.latents is not None:
                kept = pooled_latents(kept, self.latents)
            found["latents"] = kept.cpu().numpy()
        decoded = self.decodings.pictures(originals, ids, self.budgets)
        found |= self._measured(originals, decoded)
        return found | self._of_own_lengths(originals)

    def _of_own_lengths(self, originals: Originals) -> dict[str, np.ndarray]:
        """At the lengths that a halting tokenizer takes for each target."""
        tokenizer = self.decodings.tokenizer
        if not self.own_targets or tokenizer is None:
            return {}
        pixels = to_float(originals.pixels)
        own = [
            self_halting(tokenizer).own_allocation(pixels, target) for target in self.own_targets
        ]
        decoded = [to_uint8(tokenizer.decode(*allocated)) for allocated in own]
        measured = self._measured(originals, decoded).items()
        return {
            "own_tokens": torch.stack([kept for _, kept in own], 1).int().cpu().numpy(),
            **{f"own_{name}": rows for name, rows in measured if not name.endswith("_originals")},
        }

    def _measured(self, originals: Originals, decoded: list[Tensor]) -> dict[str, np.ndarray]:
        found = measure(
            originals.pixels, decoded, self.measures, self.extractors, features=self.features
        )
        return {name: value.cpu().numpy() for name, value in found.items()}


def measure(
    original: Tensor,
    decoded: list[Tensor],
    measures: dict[str, Measure],
    extractors: list[BuiltExtractor],
    *,
    features: bool,
) -> dict[str, Tensor]:
    """Metrics of `M` decoded batches, by the names of a bank's arrays: `[B, M]` float32 each.

    With `features`, also those of the networks, `[B, M, d]`, and of the originals, `[B, d]`.
    Batches are uint8 `[B, 3, H, W]`.

    Raises:
        UserError: a metric does not give one value per image.
    """
    measured = {}
    for name, of_images in measures.items():
        values = [of_images(original, image) for image in decoded]
        if any(value.shape != original.shape[:1] for value in values):
            raise UserError(
                f"metric '{name}': `measure` gives an array {list(values[0].shape)} for "
                f"{len(original)} images; it must give one value per image"
            )
        measured[name] = torch.stack(values, 1).float()
    for extractor in extractors:
        found, distances = extractor.compare(original, decoded)
        if features and found:
            measured[f"{extractor.name}_originals"] = found[0]
            measured[extractor.name] = torch.stack(found[1:], 1)
        perceptual = extractor.declared.perceptual
        if perceptual is not None and distances is not None:
            measured[perceptual.name] = distances
    return measured
