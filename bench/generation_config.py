"""What a cell generates, and how the speed of generation is measured: settings and their checks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from adatok_core.config import GeneratorConfig, GeneratorTraining, Sampling
from bench.data.backgrounds import BACKGROUNDS
from bench.data.fluent_scenes import MAX_OBJECTS
from bench.data.image_set import FluentScenes
from bench.length_distributions import LengthsConfig, ModelLengths, PolicyLengths

if TYPE_CHECKING:
    from bench.cell import CellConfig

_STRICT = {"extra": "forbid"}
NESTED = ("one_pass", "grid")
MOST_CODES = 2**18  # Logits of all of them, at every step.
SCENE_CLASSES = {"label": len(BACKGROUNDS), "objects": MAX_OBJECTS + 1}
Mode = Literal["padded", "bucketed", "refilled"]


@dataclass(frozen=True, kw_only=True)
class GenerationConfig:
    """A generator of token ids, its training, and the images that are sampled from it.

    All images have `budget` tokens, or as many as the cell's policy gives them where it is null;
    the generator then tells the length itself (`generator.lengths`). `classes` are the labels of
    the images, or the number of `objects` of a scene. `images` are sampled in the proportions of
    the classes among the validation images, of the classes in `labels` alone unless that is null;
    `seed` names their random numbers, one stream per image. `batch` sequences are decoded at a
    time, which changes no image.
    """

    __pydantic_config__ = _STRICT

    generator: GeneratorConfig = field(default_factory=GeneratorConfig)
    training: GeneratorTraining = field(default_factory=GeneratorTraining)
    sampling: Sampling = field(default_factory=Sampling)
    budget: int | None = None
    classes: Literal["label", "objects"] = "label"
    labels: tuple[int, ...] | None = None
    images: int = 1000
    batch: int = 64
    seed: int = 0

    def __post_init__(self):
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
class ThroughputConfig:
    """How the speed of generation is measured: adaptive lengths against all tokens.

    The generator is the cell's trained one, or has this shape and random weights where `generator`
    is given; only shapes matter to speed. `lengths` are those of the adaptive arm, the fixed one
    has the tokenizer's largest budget. Each of the `modes` decodes `images` sequences in each of
    the `batches` (sequences at a time), with each `guidance` (1: off) and then, timed apart, their
    `pixels`; `repeats` rounds are counted, after a warm-up. `classes` is for random weights.
    """

    __pydantic_config__ = _STRICT

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

    def __post_init__(self):
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


def require_guidance(generator: GeneratorConfig, guidance: float, *, key: str) -> None:
    """Refuse guidance of a model that was never shown a sequence without its class."""
    if guidance == 1:
        return
    if not generator.class_conditional:
        raise ValueError(f"{key}: the generator knows no classes; set it to 1")
    if generator.class_dropout == 0:
        raise ValueError(
            f"{key}: the generator never sees the null class; give generator.class_dropout a "
            "positive value, or set this to 1"
        )


def generation_problem(cell: CellConfig) -> str | None:
    """What of a cell's `generation` does not fit the rest of it."""
    asked = cell.generation
    if asked is None:
        return None
    if cell.allocator is not None:
        return "allocator: a generator's lengths come from a policy or a budget; remove it"
    if asked.budget is not None and cell.policy is not None and cell.throughput is None:
        return "policy: is not asked where generation.budget is given; remove either"
    if asked.budget is None and cell.policy is None:
        return (
            "generation.budget: is null, and there is no policy to take lengths from; give either"
        )
    if asked.budget is not None and asked.budget not in cell.bank_budgets:
        return (
            f"generation.budget: {asked.budget} is not among the budgets of the bank "
            f"{list(cell.bank_budgets)}"
        )
    if cell.tokenizer.encoding not in NESTED and asked.budget != cell.tokenizer.max_tokens:
        return (
            f"generation.budget: the bank holds ids of {cell.tokenizer.max_tokens} tokens alone, "
            f"since those of the encoding {cell.tokenizer.encoding} are not nested"
        )
    return _codes_problem(cell) or _classes_problem(cell)


def _codes_problem(cell: CellConfig) -> str | None:
    codes = cell.tokenizer.quantizer.codebook_size
    if codes <= MOST_CODES:
        return None
    return f"tokenizer.quantizer: a generator predicts {MOST_CODES} codes at most, not {codes}"


def _classes_problem(cell: CellConfig) -> str | None:
    asked, data = cell.generation, cell.data
    if not isinstance(data, FluentScenes):
        if asked.classes != "label":
            return "generation.classes: only scenes have a number of objects; set it to label"
        return None
    known = SCENE_CLASSES[asked.classes]
    if asked.labels is not None and asked.labels[-1] >= known:
        return (
            f"generation.labels: {asked.labels[-1]} is out of range, the classes are 0..{known - 1}"
        )
    images = data.train if cell.bank.policy_images is None else cell.bank.policy_images
    if asked.images > images:
        return (
            f"generation.images: {asked.images} exceeds the bank's {images} training images, whose "
            "reconstructions stand beside the samples; ask for fewer, or raise bank.policy_images"
        )
    if asked.training.batch > images:
        return (
            f"generation.training.batch: {asked.training.batch} exceeds the bank's {images} "
            "training images; lower it"
        )
    return None


def throughput_problem(cell: CellConfig) -> str | None:
    """What of a cell's `throughput` does not fit the rest of it."""
    asked = cell.throughput
    if asked is None:
        return None
    if (asked.generator is None) == (cell.generation is None):
        return (
            "throughput.generator: give it for random weights, or else the cell's generation for "
            "a trained generator"
        )
    generator = asked.generator or cell.generation.generator
    try:
        require_guidance(generator, max(asked.guidance), key="throughput.guidance")
    except ValueError as error:
        return str(error)
    policy_lengths = isinstance(asked.lengths, PolicyLengths)
    if policy_lengths and cell.policy is None:
        return "throughput.lengths: there is no policy to take lengths from; give the cell one"
    if cell.policy is not None and not policy_lengths and cell.generation is None:
        return "policy: is not asked for throughput.lengths of another kind; remove it"
    return _codes_problem(cell) or _lengths_problem(cell, generator)


def _lengths_problem(cell: CellConfig, generator: GeneratorConfig) -> str | None:
    asked, largest = cell.throughput, cell.tokenizer.max_tokens
    by_model = isinstance(asked.lengths, ModelLengths)
    if by_model == (generator.lengths == "fixed"):
        if by_model:
            return "throughput.lengths: the generator's lengths are fixed, it decides none itself"
        return (
            f"throughput.lengths: a generator with {generator.lengths} decides itself; set them to "
            "{kind: model}"
        )
    if generator.lengths == "end_token" and "bucketed" in asked.modes:
        return (
            "throughput.modes: bucketed needs lengths that are known before decoding, and an end "
            "token tells them at the end; remove it"
        )
    longest = cell.generation and (cell.generation.budget or cell.policy.candidates[-1])
    if longest not in (None, largest):
        return (
            f"throughput: the generator's longest sequences have {longest} tokens, and are "
            f"measured against the tokenizer's {largest}; train it for those"
        )
    if asked.lengths.longest is not None and asked.lengths.longest > largest:
        return (
            f"throughput.lengths: {asked.lengths.longest} tokens exceed the tokenizer's {largest}; "
            "lower them, or raise tokenizer.budgets"
        )
    return None
