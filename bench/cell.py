"""The settings of one cell, checked against each other before anything runs."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

from adatok_core.config import FineTuning, PolicyConfig, TokenizerConfig, TrainingConfig
from bench.allocators.config import (
    AllocatorConfig,
    HeuristicConfig,
    OwnConfig,
    PixelScoreConfig,
    ThresholdConfig,
)
from bench.data.image_set import FluentScenes, ImageFolder

_STRICT = {"extra": "forbid"}
LITE0_SMALLEST = 32
SSIM_SMALLEST = 11
SCORE_SMALLEST = 10


@dataclass(frozen=True, kw_only=True)
class BankConfig:
    """What the banks hold.

    `budgets` are the lengths to decode at (the tokenizer's, when null); those that training never
    drew are flagged. `own_targets` are mean absolute errors on [0, 1] at which a halting tokenizer
    chooses its lengths itself. `policy_images` is how many training images the policy's bank takes
    (all, when null), `policy_perceptual` whether it measures perceptual distances too;
    `extractor_resolution` the side in px to which Lite0's input is resized; `second_extractor`
    whether Lite1 gives distances too; `inception_weights` a path to torch-fidelity's weight file,
    without which there is no rFID, and `inception_sha256` how that file's SHA-256 begins.
    """

    __pydantic_config__ = _STRICT

    budgets: tuple[int, ...] | None = None
    own_targets: tuple[float, ...] | None = None
    policy_images: int | None = None
    policy_perceptual: bool = False
    extractor_resolution: int = 64
    second_extractor: bool = False
    inception_weights: str | None = None
    inception_sha256: str = "6726825d"
    batch: int = 64
    shard: int = 1024

    def __post_init__(self):
        for key in ("policy_images", "batch", "shard"):
            value = getattr(self, key)
            if value is not None and value < 1:
                raise ValueError(f"{key}: must be 1 or more")
        if self.extractor_resolution < LITE0_SMALLEST:
            raise ValueError(f"extractor_resolution: must be {LITE0_SMALLEST} px or more")
        if not re.fullmatch("[0-9a-f]{8,64}", self.inception_sha256):
            raise ValueError("inception_sha256: must be 8 to 64 hexadecimal digits, in lower case")
        budgets = self.budgets
        if budgets is not None and (not budgets or sorted({*budgets}) != list(budgets)):
            raise ValueError(f"budgets: {list(budgets)} must increase strictly, or be null")
        targets = self.own_targets
        if targets is not None and (
            not targets
            or sorted({*targets}) != list(targets)
            or not 0 < targets[0] <= targets[-1] < 1
        ):
            raise ValueError(
                f"own_targets: {list(targets)} must increase strictly within (0, 1), or be null"
            )


@dataclass(frozen=True, kw_only=True)
class EvaluationConfig:
    """How an allocation is judged.

    `seed` draws which image gets which budget where the image is ignored. `heuristics` adds scores
    of the image and threshold searches to the controls, fitted on training images to the
    allocation's own mean budget. `kid_subset` is the number of images in each block of the kernel
    distance's interval (a tenth of them, when null); `generative` asks for the inception score,
    precision and recall too.
    """

    __pydantic_config__ = _STRICT

    seed: int = 0
    heuristics: bool = False
    kid_subset: int | None = None
    generative: bool = False

    def __post_init__(self):
        if self.kid_subset is not None and self.kid_subset < 2:
            raise ValueError("kid_subset: must be 2 or more, or null")

    def problem(self, images: int) -> str | None:
        """What cannot be measured on so many validation images."""
        if images < 2 * (self.kid_subset or 2):
            remedy = "give more images" if self.kid_subset is None else "lower it"
            blocks = self.kid_subset or 2
            return (
                f"evaluation.kid_subset: {images} validation images do not fill two blocks of "
                f"{blocks}; {remedy}"
            )
        if self.generative and images < SCORE_SMALLEST:
            return (
                f"evaluation.generative: an inception score needs {SCORE_SMALLEST} validation "
                f"images or more, not {images}"
            )
        return None


@dataclass(frozen=True, kw_only=True)
class CellConfig:
    """All settings of one cell.

    With neither a policy nor an allocator it is the tokenizer's curve over its budgets.
    """

    __pydantic_config__ = _STRICT

    data: FluentScenes | ImageFolder
    tokenizer: TokenizerConfig = field(default_factory=TokenizerConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    finetuning: FineTuning | None = None
    bank: BankConfig = field(default_factory=BankConfig)
    policy: PolicyConfig | None = None
    allocator: AllocatorConfig | None = None
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)

    def __post_init__(self):
        for problem in (
            self._data_problem(),
            self._finetuning_problem(),
            self._bank_problem(),
            self._policy_problem(),
            self._allocator_problem(),
            self._evaluation_problem(),
        ):
            if problem:
                raise ValueError(problem)

    @property
    def bank_budgets(self) -> tuple[int, ...]:
        """Lengths that the bank decodes at."""
        return self.tokenizer.budgets if self.bank.budgets is None else self.bank.budgets

    @property
    def allocates(self) -> bool:
        """Whether images get budgets, by a policy or another allocator."""
        return self.policy is not None or self.allocator is not None

    @property
    def fits_scores(self) -> bool:
        """Whether a score of the image is fitted, as the cell's allocator or as a control."""
        return isinstance(self.allocator, HeuristicConfig) or self._with_heuristics

    @property
    def fits_threshold(self) -> bool:
        """Whether a threshold is made to meet a mean budget."""
        searched = isinstance(self.allocator, ThresholdConfig)
        return (searched and self.allocator.distortion is None) or self._with_heuristics

    @property
    def fits_pixels(self) -> bool:
        """Whether something is fitted on pixels."""
        return isinstance(self.allocator, PixelScoreConfig) or self._with_heuristics

    @property
    def _with_heuristics(self) -> bool:
        return self.allocates and self.evaluation.heuristics

    @property
    def final_tokenizer(self) -> TokenizerConfig:
        """The tokenizer after fine-tuning, which may add adapters."""
        if self.finetuning is None or self.finetuning.lora is None:
            return self.tokenizer
        return replace(self.tokenizer, lora=self.finetuning.lora)

    @property
    def trainings(self) -> dict[str, TrainingConfig]:
        """The trainings of the tokenizer by their key."""
        second = self.finetuning
        return {"training": self.training} | (
            {} if second is None else {"finetuning.training": second.training}
        )

    def _data_problem(self) -> str | None:
        resolution, patch = self.data.resolution, self.tokenizer.patch_size
        if resolution % patch:
            return f"tokenizer.patch_size: {patch} must divide the {resolution} px images"
        patches = (resolution // patch) ** 2
        if self.tokenizer.encoding == "grid" and self.tokenizer.max_tokens != patches:
            return (
                f"tokenizer.budgets: {list(self.tokenizer.budgets)} must be [{patches}], the "
                f"patches of a {resolution} px image, for the encoding grid"
            )
        if resolution < SSIM_SMALLEST:
            return f"data.resolution: SSIM needs {SSIM_SMALLEST} px or more, not {resolution}"
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
        if self.finetuning is None:
            return None
        if self.finetuning.lora is not None:
            if self.tokenizer.lora.rank:
                return "finetuning.lora: the tokenizer has adapters; set tokenizer.lora.rank to 0"
            if self.finetuning.lora.rank > self.tokenizer.width:
                return (
                    f"finetuning.lora.rank: {self.finetuning.lora.rank} exceeds the decoder's "
                    f"width {self.tokenizer.width}"
                )
            if self.tokenizer.decoders != "shared" and self.finetuning.lora.rank:
                return "finetuning.lora: separate decoders carry no adapters; remove it"
        if self.finetuning.trainable == "heads" and not self.final_tokenizer.lora.rank:
            return "finetuning.trainable: there are no heads; give finetuning.lora a rank"
        return None

    def _bank_problem(self) -> str | None:
        largest = self.tokenizer.max_tokens
        if self.bank_budgets[0] < 1 or self.bank_budgets[-1] > largest:
            return f"bank.budgets: must lie in 1..{largest}, the tokenizer's largest budget"
        if self.bank.own_targets is not None and self.tokenizer.encoding != "halting":
            return (
                f"bank.own_targets: the encoding {self.tokenizer.encoding} does not halt by "
                "itself; set it to null"
            )
        images = self.bank.policy_images
        if images is not None and isinstance(self.data, FluentScenes) and images > self.data.train:
            return f"bank.policy_images: {images} exceeds the {self.data.train} training images"
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
        return self.evaluation.problem(self.data.validation)
