"""Checks of a cell's `generation` and `throughput` against the rest of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adatok_core.config import (
    GeneratorConfig,
)
from adatok_core.config.encoder import ENCODERS
from adatok_core.config.generator import require_guidance
from bench.config.cell_checks import MOST_CODES
from bench.config.generation import GenerationConfig, ThroughputConfig
from bench.config.length_distributions import ModelLengths, PolicyLengths
from bench.data.backgrounds import BACKGROUNDS
from bench.data.datasets import FluentScenes
from bench.data.fluent_scenes import MAX_OBJECTS

if TYPE_CHECKING:
    from bench.config.cell import CellConfig

SCENE_CLASSES = {"label": len(BACKGROUNDS), "objects": MAX_OBJECTS + 1}


def generation_problem(cell: CellConfig) -> str | None:
    """The first thing of a cell's `generation` that does not fit the rest of it."""
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
    budget = cell.tokenizer.max_tokens if asked.budget == "all" else asked.budget
    if budget is not None and budget not in cell.bank_budgets:
        return (
            f"generation.budget: {budget} is not among the budgets of the bank "
            f"{list(cell.bank_budgets)}"
        )
    trained = cell.trained_here
    if (
        trained is not None
        and not ENCODERS[trained.encoding].nested
        and budget != trained.max_tokens
    ):
        return (
            f"generation.budget: the bank holds ids of {trained.max_tokens} tokens alone, "
            f"since those of the encoding {trained.encoding} are not nested"
        )
    return _codes_problem(cell) or _classes_problem(cell, asked) or _reference_problem(cell, asked)


def _reference_problem(cell: CellConfig, asked: GenerationConfig) -> str | None:
    if asked.reference is None:
        return None
    name = asked.reference.extractor
    bank = cell.bank
    used = ["lite0", *["lite1"] * bank.second_extractor, *bank.extractors]
    used += ["inception"] * (bank.inception_weights is not None)
    if name in used:
        return None
    remedy = "set bank.inception_weights" if name == "inception" else "name it in bank.extractors"
    return f"generation.reference.extractor: {name} is not measured here; {remedy}"


def _codes_problem(cell: CellConfig) -> str | None:
    if cell.trained_here is None:
        return None  # Known when the tokenizer is there.
    codes = cell.trained_here.quantizer.codebook_size
    if codes <= MOST_CODES:
        return None
    return f"tokenizer.quantizer: a generator predicts {MOST_CODES} codes at most, not {codes}"


def _classes_problem(cell: CellConfig, asked: GenerationConfig) -> str | None:
    data = cell.data
    if not isinstance(data, FluentScenes):
        if asked.classes != "label":
            return "generation.classes: only scenes have a number of objects; set it to label"
        return None
    known = SCENE_CLASSES[asked.classes]
    if asked.labels is not None and asked.labels[-1] >= known:
        return (
            f"generation.labels: {asked.labels[-1]} is out of range, the classes are 0..{known - 1}"
        )
    images = data.most("train") if cell.bank.policy_images is None else cell.bank.policy_images
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
    """The first thing of a cell's `throughput` that does not fit the rest of it."""
    asked = cell.throughput
    if asked is None:
        return None
    trained = None if cell.generation is None else cell.generation.generator
    generator = asked.generator or trained
    if generator is None or (asked.generator and trained):
        return (
            "throughput.generator: give it for random weights, or else the cell's generation for "
            "a trained generator"
        )
    try:
        require_guidance(generator, max(asked.guidance), key="throughput.guidance")
    except ValueError as error:
        return str(error)
    policy_lengths = isinstance(asked.lengths, PolicyLengths)
    if policy_lengths and cell.policy is None:
        return "throughput.lengths: there is no policy to take lengths from; give the cell one"
    if cell.policy is not None and not policy_lengths and cell.generation is None:
        return "policy: is not asked for throughput.lengths of another kind; remove it"
    return _codes_problem(cell) or _lengths_problem(cell, asked, generator)


def _lengths_problem(
    cell: CellConfig, asked: ThroughputConfig, generator: GeneratorConfig
) -> str | None:
    largest = cell.tokenizer.max_tokens
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
    longest = None if cell.generation is None else cell.generation.budget
    longest = largest if longest == "all" else longest
    if cell.generation is not None and longest is None and cell.policy is not None:
        longest = cell.policy.candidates[-1]
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
