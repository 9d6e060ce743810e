"""The bank stage: encode every image, decode it at every budget, measure.

Built in shards, which are rows of the arrays themselves (`bench.store.row_arrays`): an interrupted
build goes on with those that are missing or torn, and several ranks make every so-manyth each.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np

from adatok_core.ranks import Ranks
from bench.artifacts.bank import IMAGE_ROWS, per_image_names, tokenizer_sha256
from bench.artifacts.decodings import Decodings
from bench.artifacts.networks import load_decodings, read_trained_lengths
from bench.data.image_set import read_image_set
from bench.files import write_json
from bench.speed.throughput import SECONDS, measure_throughput
from bench.stages.banks.codebook import codebook_of
from bench.stages.banks.content import Content
from bench.stages.banks.spot_check import spot_check
from bench.stages.banks.table import write_table
from bench.stages.banks.taken import TakenImages
from bench.stages.training.launch import on_ranks
from bench.store.row_arrays import RowArrays
from bench.store.stage import StageContext
from bench.store.stopping import StageStopped


def run(context: StageContext) -> dict[str, Any]:
    """Build the bank for `purpose` "policy" (errors and latents) or "evaluation" (features too).

    Lengths that training never drew are decoded like the others, and flagged.

    Raises:
        UserError: there are fewer images than the configuration asks for, or too few GPUs.
        RankError: one of several ranks has died.
        RuntimeError: a re-decoded sample does not agree with the bank.
        StageStopped: the stage was asked to stop; its shards stay.
    """
    build = _Build.of(context)
    ranks = on_ranks(context, build.fill) if build.lacks_any else {}
    if Ranks.here().count > 1:
        return {}
    build.finish()
    return {"budgets": build.content.budgets, "count": build.images.count, **ranks}


@dataclass(frozen=True, eq=False)
class _Build:
    """A bank that is being built in a stage's work folder."""

    context: StageContext
    images: TakenImages
    arrays: RowArrays

    @staticmethod
    def of(context: StageContext) -> _Build:
        """Raises `UserError` where there are too few images."""
        for left in context.work.glob("shard-*.safetensors"):
            left.unlink()  # By an attempt of a version whose shards were files.
        images = TakenImages.of(read_image_set(context.inputs["images"]), context.spec.config)
        return _Build(context, images, RowArrays(context.work, images.count))

    @functools.cached_property
    def decodings(self) -> Decodings:
        """Decodings of the tokenizer, on the stage's device."""
        return load_decodings(
            self.context.inputs["tokenizer"],
            reconstructions=self.context.spec.runtime.get("reconstructions"),
            device=self.context.spec.resources.device,
        )

    @functools.cached_property
    def content(self) -> Content:
        """What is computed of each image."""
        return Content.of(self.context, self.decodings)

    @property
    def _shards(self) -> list[tuple[int, int]]:
        size, count = self.context.spec.config["shard"], self.images.count
        return [(first, min(first + size, count)) for first in range(0, count, size)]

    @property
    def lacks_any(self) -> bool:
        """Whether a shard is missing or torn."""
        return not all(self.arrays.has(*shard) for shard in self._shards)

    def fill(self, context: StageContext) -> dict[str, Any]:
        """Make the shards that are this rank's, where they are missing or torn."""
        ranks, size = Ranks.here(), self.context.spec.config["shard"]
        for first, last in self._shards[ranks.rank :: ranks.count]:
            if self.arrays.has(first, last):
                continue
            self.arrays.write(first, self.content.arrays(self.images, first, last))
            if ranks.rank == 0:
                done = min(self.arrays.marked * size, self.images.count)
                context.progress(done, self.images.count, "images")
            if context.stopping.looked():
                raise StageStopped
        return {}

    def finish(self) -> None:
        """Check the arrays, and write what there is besides."""
        work, names, images = self.context.work, self.arrays.names(), self.images
        stored_ids = self.arrays.array("ids") if "ids" in names else None
        spot_check(
            self.decodings,
            self.content.budgets,
            images,
            stored=self.arrays.array("mse"),
            stored_ids=stored_ids,
            device=self.content.device,
        )
        codebook = None if stored_ids is None else codebook_of(self.decodings.facts, stored_ids)
        about = {**self._about(names), "codebook": codebook}
        if images.sample is not None:
            np.save(work / f"{IMAGE_ROWS}.npy", images.rows, allow_pickle=False)
        measured = [name for name in per_image_names(about) if name in names]
        write_table(
            work / "images.parquet",
            images,
            self.content.budgets,
            {name: self.arrays.array(name) for name in measured},
        )
        write_json(work / "bank.json", about)
        self.arrays.finish()

    def _about(self, names: list[str]) -> dict[str, Any]:
        config, artifact = self.context.spec.config, self.context.inputs["tokenizer"]
        facts, content = self.decodings.facts, self.content
        trained = read_trained_lengths(artifact)
        about = {
            "budgets": content.budgets,
            "trained": [budget in trained for budget in content.budgets],
            "max_tokens": facts.max_tokens,
            "patch_size": facts.patch_size,
            "bits_per_token": facts.bits_per_token,
            "nested": facts.nested,
            "tokenizer_sha256": tokenizer_sha256(artifact),
            "own_targets": config.get("own_targets"),
            "purpose": config["purpose"],
            "images": self.images.about,
            "resolution": facts.image_size,
            "extractors": {extractor.name: extractor.card for extractor in content.extractors},
            "arrays": names,
            "parameters": facts.parameter_counts()[0],
            **({"metrics": config["metrics"]} if config.get("metrics") else {}),
        }
        if content.features:
            about["throughput"] = None
            if self.decodings.tokenizer is not None:
                sample = self.images.pixels(0, content.batch)
                about["throughput"] = measure_throughput(
                    self.decodings.tokenizer,
                    content.budgets,
                    sample,
                    device=content.device,
                    seconds=0 if self.context.dry else SECONDS,
                )
        return about
