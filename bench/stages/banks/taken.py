"""The images that a bank takes of an image set, in the order that it has them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.artifacts.decodings import Originals
from bench.data.image_set import ImageSet
from bench.data.stratified import stratified
from bench.stages.declared.bank import STAGE


@dataclass(frozen=True, eq=False)
class TakenImages:
    """Those at `rows [n]` of a set; `sample` says how they were drawn, if they were."""

    images: ImageSet
    rows: np.ndarray
    sample: dict[str, Any] | None = None

    @staticmethod
    def of(images: ImageSet, config: dict[str, Any]) -> TakenImages:
        """The first `images` of a set, or that many by class where there is a `sample`.

        Raises:
            UserError: there are fewer.
        """
        count = config.get("images") or len(images.pixels)
        STAGE.require_images(config, len(images.pixels))
        sample: dict[str, Any] | None = config.get("sample")
        if sample is None:
            return TakenImages(images, np.arange(count))
        labels = images.table["label"].to_numpy()
        return TakenImages(images, stratified(labels, count, seed=sample["seed"]), sample)

    @property
    def count(self) -> int:
        """How many they are."""
        return len(self.rows)

    @property
    def about(self) -> dict[str, Any]:
        """Which they are, by content."""
        digest, count = self.images.digest, self.count
        if self.sample is not None:
            digest = f"{digest}[{count} by class, seed {self.sample['seed']}]"
        elif count < len(self.images.pixels):
            digest = f"{digest}[:{count}]"
        selection = self.images.selection
        return {
            "digest": digest,
            "count": count,
            **({"selection": selection} if selection else {}),
            **({"sample": self.sample} if self.sample else {}),
        }

    def pixels(self, first: int, last: int) -> Tensor:
        """A copy, uint8 `[B, 3, H, W]`: torch warns of read-only memory maps."""
        return torch.from_numpy(np.array(self.images.pixels[self.rows[first:last]]))

    def originals(self, first: int, last: int, device: str) -> Originals:
        """Their ids and pixels, on a device."""
        names = self.images.table["id"].iloc[self.rows[first:last]].tolist()
        return Originals(names, self.pixels(first, last).to(device))
