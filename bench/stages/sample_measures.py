"""Measurements of the samples stage on pictures: distances from real images, also by length."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch

from adatok_core.config import Sampling
from adatok_core.protocols import Tokenizer
from bench.artifacts.bank import Bank
from bench.artifacts.networks import TrainedGenerator
from bench.errors import UserError
from bench.judging.pictures import picture_features
from bench.judging.sample_judge import Features, SampleJudge
from bench.metrics.extraction import BuiltExtractor, build_extractors
from bench.metrics.extractors import EXTRACTORS
from bench.metrics.frechet import FrechetReference, gaussian_statistics
from bench.metrics.reference_file import reference_statistics
from bench.metrics.weight_files import weights_of_runtime
from bench.records.protocol import SampleProtocol
from bench.stages.declared.samples import STAGE
from bench.stages.token_sets import TokenSet
from bench.store.stage import StageContext

FEWEST = 2  # A covariance needs two images.


@dataclass(frozen=True)
class SampleMeasures:
    """Features of samples and of reconstructions against those of the `reference` originals."""

    context: StageContext
    tokenizer: Tokenizer
    trained: TrainedGenerator
    sampling: Sampling
    bank: Bank
    extractors: list[BuiltExtractor]
    judge: SampleJudge
    file: FrechetReference | None = None

    @staticmethod
    def of(
        context: StageContext,
        tokenizer: Tokenizer,
        trained: TrainedGenerator,
        sampling: Sampling,
        *,
        reference_rows: np.ndarray,
    ) -> SampleMeasures:
        """With the validation images at these rows of the bank as the reference.

        Raises:
            UserError: there are too few of them for what is asked.
        """
        config, bank = context.spec.config, Bank.read(context.inputs["bank"])
        STAGE.require_images(config, len(reference_rows))
        weights = weights_of_runtime(context.spec.runtime)
        extractors = build_extractors(
            resolution=config["extractor_resolution"],
            device=context.spec.resources.device,
            second=config["second_extractor"],
            named=config.get("extractors", ()),
            weights=weights,
        )
        reference = {
            one.name: np.array(bank.array(f"{one.name}_originals")[reference_rows])
            for one in extractors
        }
        judge = SampleJudge(
            reference,
            kid_subset=config["kid_subset"],
            weights=weights,
        )
        file = _file(context, extractors)
        return SampleMeasures(context, tokenizer, trained, sampling, bank, extractors, judge, file)

    def protocol(self) -> SampleProtocol:
        """The protocol of all values."""
        config = self.context.spec.config
        return SampleProtocol.of_samples(
            self.bank.about,
            estimators=self.judge.estimators(config["images"]),
            sampling={
                **asdict(self.sampling),
                "images": config["images"],
                "classes": self.trained.class_kind if self.trained.conditional else None,
                "labels": config["labels"],
                **({"reference": config["reference"]} if "reference" in config else {}),
            },
        )

    def all(
        self, samples: TokenSet, stand_ins: TokenSet, data: TokenSet
    ) -> tuple[dict[str, float], list[dict[str, Any]], list[dict[str, Any]]]:
        """Metrics, rows by length, and rows by group; `data` are the reference's real images.

        Distances of reconstructions end in `_reconstructions`. A row has `tokens`, `n` samples,
        `n_reference` real images and distances. By length: all samples with no more than their
        first `tokens`, at each of the tokenizer's budgets, against the whole reference. By group,
        where lengths differ: the samples of more tokens than the row before and no more than
        `tokens`, against the real images of such lengths alone; the rows are not comparable with
        each other. There are no distances where a side has fewer than 2 images.
        """
        own, floor = self._features(samples), self._features(stand_ins)
        whole = _side_by_side(self.judge, own, floor)
        metrics = whole | self.judge.intervals(own)
        if self.context.spec.config["generative"]:
            metrics |= self.judge.scores(own)
        if self.file is not None:
            name = self.context.spec.config["reference"]["extractor"]
            metric = EXTRACTORS[name].feature_metrics(samples=True).to_file().name
            metrics[metric] = self.file.distance(gaussian_statistics(own[name]))
        by_length = self._by_length(samples, stand_ins, whole)
        if self.trained.budget is not None:
            return metrics, by_length, []
        budgets, sides = self.trained.vocabulary.budgets, (samples, stand_ins, data)
        groups = [
            [_within(one, above, up_to) for one in sides]
            for above, up_to in zip((0, *budgets), budgets, strict=False)
        ]
        by_group = [
            {"tokens": tokens, "n": len(group[0]), "n_reference": len(group[2])}
            | self._of_group(own, floor, *group)
            for tokens, group in zip(budgets, groups, strict=True)
        ]
        return metrics, by_length, by_group

    def _by_length(
        self, samples: TokenSet, stand_ins: TokenSet, whole: dict[str, float]
    ) -> list[dict[str, Any]]:
        """The last row is that of the `whole` samples."""
        largest = self.trained.vocabulary.max_length
        rows = []
        for tokens in self.bank.budgets[self.bank.budgets <= largest].tolist():
            cut = [
                replace(images, lengths=np.minimum(images.lengths, tokens))
                for images in (samples, stand_ins)
            ]
            row = {
                "tokens": tokens,
                "mean_tokens": float(cut[0].lengths.mean()),
                "n": len(samples.ids),
                "n_reference": len(next(iter(self.judge.reference.values()))),
            }
            if tokens < largest:
                row |= _side_by_side(self.judge, *map(self._features, cut))
            rows.append(row if tokens < largest else row | whole)
        return rows

    def _of_group(
        self,
        own: Features,
        floor: Features,
        samples: np.ndarray,
        stand_ins: np.ndarray,
        data: np.ndarray,
    ) -> dict[str, float]:
        if min(map(len, (samples, stand_ins, data))) < FEWEST:
            return {}
        judge = SampleJudge(_rows(self.judge.reference, data))
        return _side_by_side(judge, _rows(own, samples), _rows(floor, stand_ins))

    def _features(self, images: TokenSet) -> Features:
        return picture_features(
            self.tokenizer,
            images.ids,
            images.lengths,
            extractors=self.extractors,
            batch=self.context.spec.config["batch"],
            device=self.context.spec.resources.device,
        )


def _file(context: StageContext, extractors: list[BuiltExtractor]) -> FrechetReference | None:
    """The reference that comes as a file, if there is one.

    Raises:
        UserError: it is none, or not of the features that it is said to be of.
    """
    config, path = context.spec.config, context.spec.runtime.get("reference")
    if path is None:
        return None
    (extractor,) = (one for one in extractors if one.name == config["reference"]["extractor"])
    device = context.spec.resources.device
    found = reference_statistics(
        path,
        extractor,
        batch=config["batch"],
        device=device,
        progress=lambda done, total: context.progress(done, total, "reference images"),
    )
    side = int(extractor.features(torch.zeros(1, 3, 64, 64, dtype=torch.uint8).to(device)).shape[1])
    if found.mean.size != side:
        raise UserError(
            f"generation.reference.file: {path} has {found.mean.size} features, and "
            f"{extractor.name} {side}; give another extractor"
        )
    return FrechetReference(found)


def _side_by_side(judge: SampleJudge, own: Features, floor: Features) -> dict[str, float]:
    reconstructions = judge.distances(floor)
    return judge.distances(own) | {
        f"{name}_reconstructions": value for name, value in reconstructions.items()
    }


def _rows(features: Features, rows: np.ndarray) -> Features:
    return {name: values[rows] for name, values in features.items()}


def _within(images: TokenSet, above: int, up_to: int) -> np.ndarray:
    return np.flatnonzero((images.lengths > above) & (images.lengths <= up_to))


def by_class(samples: TokenSet, data: TokenSet) -> list[dict[str, Any]]:
    """Mean tokens of the samples and of the real images, class by class."""
    return [
        {
            "label": int(label),
            "name": samples.names[int(label)],
            "n": int((samples.labels == label).sum()),
            "mean_tokens": float(samples.lengths[samples.labels == label].mean()),
            "n_data": int((data.labels == label).sum()),
            "mean_tokens_data": float(data.lengths[data.labels == label].mean()),
        }
        for label in np.unique(samples.labels)
    ]
