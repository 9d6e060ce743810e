"""Checks of a cell's settings against each other: each gives the first thing that does not fit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adatok_core.config import PolicyConfig, TrainingConfig
from adatok_core.config.lengths import lengths_problem
from bench.config.allocators import (
    OwnConfig,
    looks_at_ids,
)
from bench.config.bank import LITE0_SMALLEST
from bench.config.tokenizers import Reconstructions
from bench.data.datasets import FluentScenes, ImageFolder

if TYPE_CHECKING:
    from bench.config.cell import CellConfig

SSIM_SMALLEST = 11
MOST_CODES = 2**18  # More are not compared with each other, and not predicted by a generator.


def _foreign_problem(cell: CellConfig) -> str | None:
    """The first thing that only a tokenizer of ours has."""
    if cell.trained_here is not None:
        return None
    if cell.tokenizer.budgets is None:
        return "tokenizer.budgets: not known yet; give them"
    for key in ("codesign", "finetuning"):
        if getattr(cell, key) is not None:
            return f"{key}: only tokenizers that are trained here have one; remove it"
    if isinstance(cell.tokenizer, Reconstructions):
        return _reconstructions_problem(cell, cell.tokenizer)
    if cell.policy is not None and cell.policy.input == "quantized":
        return (
            "policy.input: the codes of a tokenizer that is not trained here are not known; "
            "set it to latents or pixels"
        )
    return None


def _data_problem(cell: CellConfig) -> str | None:
    data = cell.data
    if (
        isinstance(data, ImageFolder)
        and data.undivided
        and (cell.trained_here is not None or cell.allocates or cell.generation is not None)
    ):
        return (
            "data.undivided: all images validate, so there is nothing to train or fit on; "
            "leave it out"
        )
    resolution, trained = cell.data.resolution, cell.trained_here
    if trained is not None and resolution % trained.patch_size:
        patch = trained.patch_size
        return f"tokenizer.patch_size: {patch} must divide the {resolution} px images"
    if trained is not None and trained.encoding == "grid":
        patches = (resolution // trained.patch_size) ** 2
        if trained.max_tokens != patches:
            return (
                f"tokenizer.budgets: {list(trained.budgets)} must be [{patches}], the "
                f"patches of a {resolution} px image, for the encoding grid"
            )
    if resolution < SSIM_SMALLEST:
        return f"data.resolution: SSIM needs {SSIM_SMALLEST} px or more, not {resolution}"
    if trained is None:
        return None
    if resolution < LITE0_SMALLEST:
        for key, training in cell.trainings.items():
            for name, on in (
                ("perceptual", training.perceptual > 0),
                ("adversarial", training.adversarial is not None),
            ):
                if on:
                    return f"{key}.{name}: needs images of {LITE0_SMALLEST} px or more"
    return None


def _loss_problem(cell: CellConfig) -> str | None:
    """A network of a perceptual loss that the bank does not have: its weights are given there."""
    trainings = {} if cell.trained_here is None else cell.trainings
    for key, training in trainings.items():
        name = training.perceptual_network
        if name == TrainingConfig.perceptual_network:
            continue
        if not training.perceptual:
            return f"{key}.perceptual_network: {name} has no weight; set {key}.perceptual"
        if name not in cell.bank.extractors:
            return (
                f"{key}.perceptual_network: '{name}' is not in bank.extractors "
                f"{list(cell.bank.extractors)}, where its weights are given; add it there"
            )
    return None


def _finetuning_problem(cell: CellConfig) -> str | None:
    trained = cell.trained_here
    if cell.finetuning is None or trained is None:
        return None
    if cell.finetuning.lora is not None:
        if trained.lora.rank:
            return "finetuning.lora: the tokenizer has adapters; set tokenizer.lora.rank to 0"
        if cell.finetuning.lora.rank > trained.width:
            return (
                f"finetuning.lora.rank: {cell.finetuning.lora.rank} exceeds the decoder's "
                f"width {trained.width}"
            )
        if trained.decoders != "shared" and cell.finetuning.lora.rank:
            return "finetuning.lora: separate decoders carry no adapters; remove it"
    if cell.finetuning.trainable == "heads" and not cell.final_tokenizer.lora.rank:
        return "finetuning.trainable: there are no heads; give finetuning.lora a rank"
    return None


def _lengths_problem(cell: CellConfig) -> str | None:
    if cell.trained_here is None:
        return None
    for key, training in cell.trainings.items():
        problem = lengths_problem(cell.trained_here, training.lengths)
        if problem:
            return f"{key}.{problem}"
    return None


def _bank_problem(cell: CellConfig) -> str | None:
    largest = cell.tokenizer.max_tokens
    if cell.bank_budgets[0] < 1 or cell.bank_budgets[-1] > largest:
        return f"bank.budgets: must lie in 1..{largest}, the tokenizer's largest budget"
    trained = cell.trained_here
    if cell.bank.own_targets is not None and (trained is None or trained.encoding != "halting"):
        encoding = "tokenizer" if trained is None else f"encoding {trained.encoding}"
        return f"bank.own_targets: the {encoding} does not halt by itself; set it to null"
    looking = [key for key, policy in cell.policies.items() if policy.input == "latents"]
    if cell.bank.latents == 0 and looking:
        return f"bank.latents: 0 keeps none, and {looking[0]}.input is latents; set it to null"
    images = cell.bank.policy_images
    if (
        images is not None
        and isinstance(cell.data, FluentScenes)
        and images > cell.data.most("train")
    ):
        train = cell.data.most("train")
        return f"bank.policy_images: {images} exceeds the {train} training images"
    return None


def _policy_problem(cell: CellConfig) -> str | None:
    problems = (_unfit_policy(cell, key, policy) for key, policy in cell.policies.items())
    return next(filter(None, problems), None)


def _unfit_policy(cell: CellConfig, key: str, policy: PolicyConfig) -> str | None:
    """What a policy asks of the bank or the tokenizer that they have not."""
    outside = sorted(set(policy.candidates) - set(cell.bank_budgets))
    if outside:
        return (
            f"{key}.candidates: {outside} are not among the budgets of the bank "
            f"{list(cell.bank_budgets)}"
        )
    if policy.prefix is not None and policy.prefix > cell.tokenizer.max_tokens:
        return (
            f"{key}.prefix: {policy.prefix} exceeds the {cell.tokenizer.max_tokens} tokens "
            "of the tokenizer"
        )
    if policy.reward.perceptual_share > 0 and not cell.bank.policy_perceptual:
        return (
            f"{key}.reward.perceptual_share: the policy's bank measures no perceptual "
            "distance; set bank.policy_perceptual to true"
        )
    return None


def _allocator_problem(cell: CellConfig) -> str | None:
    allocator = cell.allocator
    if allocator is None:
        return None
    if cell.policy is not None:
        return "allocator: the cell has a policy, which is one; remove either"
    candidates = allocator.candidates or cell.bank_budgets
    if len(candidates) < 2:
        return (
            f"allocator: there is nothing to choose between, the bank's only budget is "
            f"{candidates[0]}; give the tokenizer or the bank more budgets"
        )
    outside = sorted(set(candidates) - set(cell.bank_budgets))
    if outside:
        return (
            f"allocator.candidates: {outside} are not among the budgets of the bank "
            f"{list(cell.bank_budgets)}"
        )
    if isinstance(allocator, OwnConfig) and allocator.target not in (cell.bank.own_targets or ()):
        return (
            f"allocator.target: {allocator.target:g} is not among bank.own_targets "
            f"{list(cell.bank.own_targets or ())}; add it there"
        )
    target = getattr(allocator, "mean_budget", None)
    if target is not None and not candidates[0] <= target <= candidates[-1]:
        return (
            f"allocator.mean_budget: {target:g} lies outside the candidates "
            f"{candidates[0]}..{candidates[-1]}"
        )
    prefix = getattr(allocator, "prefix", None)
    if prefix is not None and prefix > cell.tokenizer.max_tokens:
        return (
            f"allocator.prefix: {prefix} exceeds the {cell.tokenizer.max_tokens} tokens of "
            "the tokenizer"
        )
    return None


def _evaluation_problem(cell: CellConfig) -> str | None:
    """Sets of images that are too small; how many a folder holds is known later."""
    if not isinstance(cell.data, FluentScenes):
        return None
    return cell.evaluation.problem(cell.data.most("validation"))


def _diagnostics_problem(cell: CellConfig) -> str | None:
    """Diagnostics of a curve that the tokenizer cannot have."""
    asked, trained = cell.evaluation, cell.trained_here
    if cell.kind != "reconstruction" or cell.allocates:
        return None
    if asked.prefix_cosine_images is not None and trained is None:
        return (
            "evaluation.prefix_cosine_images: the layers of a tokenizer that is not trained here "
            "are not known; set it to null"
        )
    if asked.perturbed is None:
        return None
    if isinstance(cell.tokenizer, Reconstructions):
        return (
            "evaluation.perturbed: takes a tokenizer that decodes, and reconstructions that were "
            "made elsewhere have none; set it to null"
        )
    near = asked.perturbed.neighbours
    if near is None:
        return None
    where = "evaluation.perturbed.neighbours"
    if trained is None:
        return (
            f"{where}: which codes of a tokenizer that is not trained here are near is not known; "
            "set it to null"
        )
    codes = trained.quantizer.codebook_size
    if codes > MOST_CODES:
        return f"{where}: are looked for among {MOST_CODES} codes at most, not {codes}; set to null"
    if max(near) > codes:
        return f"{where}: {max(near)} exceeds the {codes} codes; lower it"
    return None


def _reconstructions_problem(cell: CellConfig, tokenizer: Reconstructions) -> str | None:
    """The first thing that takes a tokenizer, where there are its reconstructions alone."""
    for key in ("generation", "throughput"):
        if getattr(cell, key) is not None:
            return (
                f"{key}: takes a tokenizer that decodes, and reconstructions that were made "
                "elsewhere have none; remove it, or name a tokenizer of kind external"
            )
    outside = sorted({*cell.bank_budgets} - {*tokenizer.known_budgets})
    if outside:
        return (
            f"bank.budgets: {outside} are not among those of the reconstructions "
            f"{list(tokenizer.known_budgets)}"
        )
    if cell.policy is not None and cell.policy.input != "pixels":
        return (
            f"policy.input: reconstructions that were made elsewhere have no {cell.policy.input}; "
            "set it to pixels"
        )
    if tokenizer.tokens is None and cell.allocator is not None and looks_at_ids(cell.allocator):
        return (
            f"allocator.kind: {cell.allocator.kind} looks at token ids; give them as "
            "tokenizer.tokens, or choose another"
        )
    return None


RECONSTRUCTION = (
    _foreign_problem,
    _data_problem,
    _loss_problem,
    _finetuning_problem,
    _lengths_problem,
    _bank_problem,
    _policy_problem,
    _allocator_problem,
    _evaluation_problem,
    _diagnostics_problem,
)
