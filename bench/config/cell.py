"""The settings of one cell, checked against each other before anything runs."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal

from adatok_core.config import (
    FineTuning,
    GeneratorConfig,
    PolicyConfig,
    TokenizerConfig,
    TrainingConfig,
)
from adatok_core.config.checks import Strict
from adatok_core.config.encoder import ENCODERS
from adatok_core.config.generator import require_guidance
from bench.config.allocators import (
    AllocatorConfig,
    AllocatorSettings,
    Need,
    OwnConfig,
    controls_at,
    fitting_needs,
)
from bench.config.bank import LITE0_SMALLEST, BankConfig
from bench.config.evaluation import EvaluationConfig
from bench.config.generation import GenerationConfig, ThroughputConfig
from bench.config.length_distributions import ModelLengths, PolicyLengths
from bench.config.tokenizers import AnyTokenizer
from bench.data.backgrounds import BACKGROUNDS
from bench.data.fluent_scenes import MAX_OBJECTS
from bench.data.image_set import DatasetConfig, FluentScenes, ImageFolder

SSIM_SMALLEST = 11
MOST_CODES = 2**18  # Logits of all of them, at every step.
SCENE_CLASSES = {"label": len(BACKGROUNDS), "objects": MAX_OBJECTS + 1}


@dataclass(frozen=True, kw_only=True)
class CellConfig(Strict):
    """All settings of one cell.

    With neither a policy nor an allocator it is the tokenizer's curve over its budgets; with a
    `generation` it ends in images sampled from a generator, with a `throughput` in its speed.
    `extra` holds the settings of stages that other packages bring. A tokenizer that is not trained
    here leaves `training` unheeded.
    """

    data: DatasetConfig
    tokenizer: AnyTokenizer = field(default_factory=TokenizerConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    finetuning: FineTuning | None = None
    bank: BankConfig = field(default_factory=BankConfig)
    policy: PolicyConfig | None = None
    allocator: AllocatorConfig | None = None
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    generation: GenerationConfig | None = None
    throughput: ThroughputConfig | None = None
    extra: dict[str, dict[str, Any]] | None = None

    def __post_init__(self) -> None:
        for problem in (
            self._foreign_problem(),
            self._data_problem(),
            self._finetuning_problem(),
            self._bank_problem(),
            self._policy_problem(),
            self._allocator_problem(),
            self._evaluation_problem(),
            generation_problem(self),
            throughput_problem(self),
        ):
            if problem:
                raise ValueError(problem)

    @property
    def kind(self) -> Literal["reconstruction", "generation", "throughput"]:
        """Subject of the cell's record."""
        if self.throughput is not None:
            return "throughput"
        return "reconstruction" if self.generation is None else "generation"

    @property
    def trained_here(self) -> TokenizerConfig | None:
        """The settings of our own tokenizer; None where it is someone else's."""
        return self.tokenizer if isinstance(self.tokenizer, TokenizerConfig) else None

    @property
    def bank_budgets(self) -> tuple[int, ...]:
        """Lengths that the bank decodes at."""
        return self.bank.budgets or self.tokenizer.budgets or ()

    @property
    def allocates(self) -> bool:
        """Whether images get budgets, by a policy or another allocator."""
        return self.policy is not None or self.allocator is not None

    @property
    def fitting_needs(self) -> frozenset[Need]:
        """Needs of the cell's allocator, unless it is learned, and of its controls."""
        fitted: tuple[AllocatorSettings, ...] = () if self.allocator is None else (self.allocator,)
        if self.allocates and self.evaluation.heuristics:
            fitted += controls_at(self.bank_budgets[-1])
        return frozenset[Need]().union(*map(fitting_needs, fitted))

    @property
    def final_tokenizer(self) -> TokenizerConfig:
        """Our own tokenizer after fine-tuning, which may add adapters.

        Raises:
            ValueError: it is someone else's.
        """
        trained = self.trained_here
        if trained is None:
            raise ValueError("tokenizer: is not trained here")
        if self.finetuning is None or self.finetuning.lora is None:
            return trained
        return replace(trained, lora=self.finetuning.lora)

    @property
    def trainings(self) -> dict[str, TrainingConfig]:
        """The trainings of the tokenizer by their key."""
        second = self.finetuning
        return {"training": self.training} | (
            {} if second is None else {"finetuning.training": second.training}
        )

    def _foreign_problem(self) -> str | None:
        """The first thing that only a tokenizer of ours has."""
        if self.trained_here is not None:
            return None
        if self.tokenizer.budgets is None:
            return "tokenizer.budgets: not known yet; give them"
        if self.finetuning is not None:
            return "finetuning: only tokenizers that are trained here have one; remove it"
        if self.policy is not None and self.policy.input == "quantized":
            return (
                "policy.input: the codes of a tokenizer that is not trained here are not known; "
                "set it to latents or pixels"
            )
        return None

    def _data_problem(self) -> str | None:
        data = self.data
        if (
            isinstance(data, ImageFolder)
            and data.undivided
            and (self.trained_here is not None or self.allocates or self.generation is not None)
        ):
            return (
                "data.undivided: all images validate, so there is nothing to train or fit on; "
                "leave it out"
            )
        resolution, trained = self.data.resolution, self.trained_here
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
            for key, training in self.trainings.items():
                for name, on in (
                    ("perceptual", training.perceptual > 0),
                    ("adversarial", training.adversarial is not None),
                ):
                    if on:
                        return f"{key}.{name}: needs images of {LITE0_SMALLEST} px or more"
        return None

    def _finetuning_problem(self) -> str | None:
        trained = self.trained_here
        if self.finetuning is None or trained is None:
            return None
        if self.finetuning.lora is not None:
            if trained.lora.rank:
                return "finetuning.lora: the tokenizer has adapters; set tokenizer.lora.rank to 0"
            if self.finetuning.lora.rank > trained.width:
                return (
                    f"finetuning.lora.rank: {self.finetuning.lora.rank} exceeds the decoder's "
                    f"width {trained.width}"
                )
            if trained.decoders != "shared" and self.finetuning.lora.rank:
                return "finetuning.lora: separate decoders carry no adapters; remove it"
        if self.finetuning.trainable == "heads" and not self.final_tokenizer.lora.rank:
            return "finetuning.trainable: there are no heads; give finetuning.lora a rank"
        return None

    def _bank_problem(self) -> str | None:
        largest = self.tokenizer.max_tokens
        if self.bank_budgets[0] < 1 or self.bank_budgets[-1] > largest:
            return f"bank.budgets: must lie in 1..{largest}, the tokenizer's largest budget"
        trained = self.trained_here
        if self.bank.own_targets is not None and (trained is None or trained.encoding != "halting"):
            encoding = "tokenizer" if trained is None else f"encoding {trained.encoding}"
            return f"bank.own_targets: the {encoding} does not halt by itself; set it to null"
        images = self.bank.policy_images
        if (
            images is not None
            and isinstance(self.data, FluentScenes)
            and images > self.data.most("train")
        ):
            train = self.data.most("train")
            return f"bank.policy_images: {images} exceeds the {train} training images"
        return None

    def _policy_problem(self) -> str | None:
        policy = self.policy
        if policy is None:
            return None
        outside = sorted(set(policy.candidates) - set(self.bank_budgets))
        if outside:
            return (
                f"policy.candidates: {outside} are not among the budgets of the bank "
                f"{list(self.bank_budgets)}"
            )
        if policy.prefix is not None and policy.prefix > self.tokenizer.max_tokens:
            return (
                f"policy.prefix: {policy.prefix} exceeds the {self.tokenizer.max_tokens} tokens "
                "of the tokenizer"
            )
        if policy.reward.perceptual_share > 0 and not self.bank.policy_perceptual:
            return (
                "policy.reward.perceptual_share: the policy's bank measures no perceptual "
                "distance; set bank.policy_perceptual to true"
            )
        return None

    def _allocator_problem(self) -> str | None:
        allocator = self.allocator
        if allocator is None:
            return None
        if self.policy is not None:
            return "allocator: the cell has a policy, which is one; remove either"
        candidates = allocator.candidates or self.bank_budgets
        if len(candidates) < 2:
            return (
                f"allocator: there is nothing to choose between, the bank's only budget is "
                f"{candidates[0]}; give the tokenizer or the bank more budgets"
            )
        outside = sorted(set(candidates) - set(self.bank_budgets))
        if outside:
            return (
                f"allocator.candidates: {outside} are not among the budgets of the bank "
                f"{list(self.bank_budgets)}"
            )
        if isinstance(allocator, OwnConfig) and allocator.target not in (
            self.bank.own_targets or ()
        ):
            return (
                f"allocator.target: {allocator.target:g} is not among bank.own_targets "
                f"{list(self.bank.own_targets or ())}; add it there"
            )
        target = getattr(allocator, "mean_budget", None)
        if target is not None and not candidates[0] <= target <= candidates[-1]:
            return (
                f"allocator.mean_budget: {target:g} lies outside the candidates "
                f"{candidates[0]}..{candidates[-1]}"
            )
        prefix = getattr(allocator, "prefix", None)
        if prefix is not None and prefix > self.tokenizer.max_tokens:
            return (
                f"allocator.prefix: {prefix} exceeds the {self.tokenizer.max_tokens} tokens of "
                "the tokenizer"
            )
        return None

    def _evaluation_problem(self) -> str | None:
        """Sets of images that are too small; how many a folder holds is known later."""
        if not isinstance(self.data, FluentScenes):
            return None
        return self.evaluation.problem(self.data.most("validation"))


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
    if asked.budget is not None and asked.budget not in cell.bank_budgets:
        return (
            f"generation.budget: {asked.budget} is not among the budgets of the bank "
            f"{list(cell.bank_budgets)}"
        )
    trained = cell.trained_here
    if (
        trained is not None
        and not ENCODERS[trained.encoding].nested
        and asked.budget != trained.max_tokens
    ):
        return (
            f"generation.budget: the bank holds ids of {trained.max_tokens} tokens alone, "
            f"since those of the encoding {trained.encoding} are not nested"
        )
    return _codes_problem(cell) or _classes_problem(cell, asked)


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
