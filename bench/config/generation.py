"""Settings of what a cell generates, and of how the speed of generation is measured."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from adatok_core.config import GeneratorConfig, GeneratorTraining, Sampling
from adatok_core.config.checks import Strict, later
from adatok_core.config.generator import require_guidance
from bench.config.length_distributions import LengthsConfig, ModelLengths

Mode = Literal["padded", "bucketed", "refilled"]


@dataclass(frozen=True, kw_only=True)
class ReferenceFile(Strict):
    """An npz with a reference of samples: statistics of the features of `extractor`, or images.

    See `bench.metrics.reference_file`; `sha256` is how the file's SHA-256 begins.
    """

    file: str
    extractor: str = "inception"
    sha256: str | None = None

    def __post_init__(self) -> None:
        if self.file == "":
            raise ValueError("file: must be the path of an npz")


@dataclass(frozen=True, kw_only=True)
class GenerationConfig(Strict):
    """A generator of token ids, its training, and the images that are sampled from it.

    All images have `budget` tokens, `all` of the tokenizer's, or as many as the cell's policy gives
    them where it is null; the generator then tells the length itself (`generator.lengths`).
    `classes` are the labels of the images, or the number of `objects` of a scene. `images` are
    sampled in the proportions of the classes among the validation images, of the classes in
    `labels` alone unless that is null; `seed` names their random numbers, one stream per image.
    `batch` sequences are decoded at a time, which changes no image. Samples are compared with the
    validation images, and with a `reference` that comes as a file too, such as ADM's.
    """

    generator: GeneratorConfig = field(default_factory=GeneratorConfig)
    training: GeneratorTraining = field(default_factory=GeneratorTraining)
    sampling: Sampling = field(default_factory=Sampling)
    budget: int | Literal["all"] | None = None
    classes: Literal["label", "objects"] = "label"
    labels: tuple[int, ...] | None = None
    images: int = 1000
    batch: int = 64
    seed: int = 0
    reference: ReferenceFile | None = later(None)

    def __post_init__(self) -> None:
        if self.images < 2:
            raise ValueError("images: must be 2 or more")
        if self.batch < 1:
            raise ValueError("batch: must be 1 or more")
        if not 0 <= self.seed < 2**31:
            raise ValueError("seed: must lie in 0..2^31 - 1")
        if self.budget is not None and self.generator.lengths != "fixed":
            raise ValueError(
                f"budget: a generator with {self.generator.lengths} tells each length itself; set "
                "it to null"
            )
        if self.budget is None and self.generator.lengths == "fixed":
            raise ValueError(
                "budget: missing, the generator's lengths are fixed; give one, or set "
                "generator.lengths to end_token or length_token"
            )
        require_guidance(self.generator, self.sampling.guidance, key="sampling.guidance")
        if self.labels is None:
            return
        if not self.generator.class_conditional:
            raise ValueError("labels: the generator knows no classes; set it to null")
        if not self.labels or sorted({*self.labels}) != list(self.labels) or self.labels[0] < 0:
            raise ValueError(
                f"labels: {list(self.labels)} must increase strictly from 0 or more, or be null"
            )


@dataclass(frozen=True, kw_only=True)
class ThroughputConfig(Strict):
    """How the speed of generation is measured: adaptive lengths against all tokens.

    The generator is the cell's trained one, or has this shape and random weights where `generator`
    is given; only shapes matter to speed. `lengths` are those of the adaptive arm, the fixed one
    has the tokenizer's largest budget. Each of the `modes` decodes `images` sequences in each of
    the `batches` (sequences at a time), with each `guidance` (1: off) and then, timed apart, their
    `pixels`; `repeats` rounds are counted, after a warm-up. `classes` is for random weights.
    """

    lengths: LengthsConfig
    generator: GeneratorConfig | None = None
    sampling: Sampling = field(default_factory=Sampling)
    classes: int = 1000
    images: int = 128
    modes: tuple[Mode, ...] = ("padded", "bucketed", "refilled")
    batches: tuple[int, ...] = (32,)
    guidance: tuple[float, ...] = (1.0,)
    pixels: bool = True
    repeats: int = 3
    precision: Literal["fp32", "bf16"] = "fp32"
    seed: int = 0

    def __post_init__(self) -> None:
        for key in ("classes", "images", "repeats"):
            if getattr(self, key) < 1:
                raise ValueError(f"{key}: must be 1 or more")
        for key, smallest in (("batches", 1), ("guidance", 1), ("modes", "")):
            values = getattr(self, key)
            if not values or len({*values}) < len(values) or min(values) < smallest:
                raise ValueError(f"{key}: give one or more, each once, of 1 or more")
        if max(self.batches) > self.images:
            raise ValueError(
                f"images: {self.images} do not fill a batch of {max(self.batches)}; give more"
            )
        if not 0 <= self.seed < 2**31:
            raise ValueError("seed: must lie in 0..2^31 - 1")
        if self.sampling.guidance != 1:
            raise ValueError("sampling.guidance: is measured over; give the list `guidance`")
        if self.generator is not None and isinstance(self.lengths, ModelLengths):
            raise ValueError(
                "lengths.kind: random weights know no length; name a distribution, or take the "
                "policy's"
            )
        if self.generator is not None and self.generator.lengths != "fixed":
            raise ValueError("generator.lengths: random weights know no length; set it to fixed")
