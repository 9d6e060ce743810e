"""Frozen configurations of the method. `ValueError`s of `__post_init__` name the offending key.

`__pydantic_config__` lets the harness check them with pydantic, unknown keys included, while this
package needs nothing but torch and numpy.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from typing import Literal

_STRICT = {"extra": "forbid"}


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)


@dataclass(frozen=True, kw_only=True)
class FSQ:
    """Finite scalar quantization (Mentzer et al. 2023): one code per combination of `levels`."""

    __pydantic_config__ = _STRICT

    kind: Literal["fsq"] = "fsq"
    levels: tuple[int, ...] = (8, 5, 5, 5)

    def __post_init__(self):
        _require(len(self.levels) > 0, "levels: needs at least one dimension")
        _require(min(self.levels) >= 2, "levels: each dimension needs 2 levels or more")

    @property
    def codebook_size(self) -> int:
        """Number of codes `V`."""
        return prod(self.levels)


@dataclass(frozen=True, kw_only=True)
class VQ:
    """Vector quantization on the unit sphere (ViT-VQGAN): gradient-trained codebook.

    A code whose running usage (decay `usage_decay`) falls below `revive_below` times the uniform
    share is replaced by a latent of the current batch; 0 switches revival off.
    """

    __pydantic_config__ = _STRICT

    kind: Literal["vq"] = "vq"
    codebook_size: int = 1024
    dimension: int = 12
    commitment: float = 0.25
    usage_decay: float = 0.99
    revive_below: float = 0.03

    def __post_init__(self):
        _require(self.codebook_size >= 2, "codebook_size: must be 2 or more")
        _require(self.dimension >= 1, "dimension: must be 1 or more")
        _require(self.commitment >= 0, "commitment: must not be negative")
        _require(0 <= self.usage_decay < 1, "usage_decay: must lie in [0, 1)")
        _require(0 <= self.revive_below < 1, "revive_below: must lie in [0, 1)")


@dataclass(frozen=True, kw_only=True)
class LoRA:
    """One low-rank adapter set per budget on every linear layer of the decoder; rank 0 is none."""

    __pydantic_config__ = _STRICT

    rank: int = 16
    alpha: float = 16.0

    def __post_init__(self):
        _require(self.rank >= 0, "rank: must not be negative")
        _require(self.alpha > 0, "alpha: must be positive")


@dataclass(frozen=True, kw_only=True)
class TokenizerConfig:
    """Shape of the elastic tokenizer. A single budget makes it a fixed-length tokenizer.

    `budgets` are the candidate budgets `b_1 < ... < b_M`; `b_M = N` is the number of latents.
    """

    __pydantic_config__ = _STRICT

    budgets: tuple[int, ...] = (2, 4, 8, 16)
    patch_size: int = 8
    width: int = 128
    encoder_depth: int = 4
    decoder_depth: int = 4
    attention_heads: int = 4
    quantizer: FSQ | VQ = field(default_factory=FSQ)
    lora: LoRA = field(default_factory=LoRA)

    def __post_init__(self):
        _require(len(self.budgets) > 0, "budgets: needs at least one budget")
        _require(self.budgets[0] >= 1, "budgets: the smallest must be 1 or more")
        increasing = all(a < b for a, b in zip(self.budgets, self.budgets[1:], strict=False))
        _require(increasing, f"budgets: {list(self.budgets)} must increase strictly")
        for key in ("patch_size", "width", "encoder_depth", "decoder_depth", "attention_heads"):
            _require(getattr(self, key) >= 1, f"{key}: must be 1 or more")
        _require(
            self.width % self.attention_heads == 0,
            f"attention_heads: {self.attention_heads} must divide the width {self.width}",
        )
        _require(
            self.lora.rank <= self.width,
            f"lora.rank: {self.lora.rank} exceeds the decoder's width {self.width}",
        )

    @property
    def max_tokens(self) -> int:
        """Number of latents `N`, the full budget."""
        return self.budgets[-1]


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """How a tokenizer is trained: AdamW, linear warm-up, cosine decay to a tenth, EMA.

    `batch` is the number of images of one step, made of `accumulate` equal micro-batches.
    `full_budget_share` is the share of images that keep all tokens; the others draw a candidate
    budget uniformly.
    """

    __pydantic_config__ = _STRICT

    steps: int = 2000
    batch: int = 64
    accumulate: int = 1
    learning_rate: float = 1e-3
    warmup_steps: int = 100
    weight_decay: float = 1e-4
    gradient_clip: float = 1.0
    ema_decay: float = 0.99
    pixel_loss: Literal["l1", "l2"] = "l2"
    full_budget_share: float = 0.0
    precision: Literal["fp32", "bf16"] = "fp32"
    log_every: int = 50
    checkpoint_every: int = 250
    seed: int = 0

    def __post_init__(self):
        for key in ("steps", "batch", "accumulate", "log_every", "checkpoint_every"):
            _require(getattr(self, key) >= 1, f"{key}: must be 1 or more")
        _require(
            self.batch % self.accumulate == 0,
            f"accumulate: {self.accumulate} must divide the batch {self.batch}",
        )
        _require(self.learning_rate > 0, "learning_rate: must be positive")
        _require(self.warmup_steps >= 0, "warmup_steps: must not be negative")
        _require(self.weight_decay >= 0, "weight_decay: must not be negative")
        _require(self.gradient_clip > 0, "gradient_clip: must be positive")
        _require(0 <= self.ema_decay < 1, "ema_decay: must lie in [0, 1)")
        _require(0 <= self.full_budget_share <= 1, "full_budget_share: must lie in [0, 1]")
        _require(self.seed >= 0, "seed: must not be negative")


@dataclass(frozen=True, kw_only=True)
class Annealed:
    """A coefficient that moves geometrically from `start` to `end` over training."""

    __pydantic_config__ = _STRICT

    start: float
    end: float

    def __post_init__(self):
        _require(self.start >= 0 and self.end >= 0, "start, end: must not be negative")
        _require(
            (self.start == 0) == (self.end == 0),
            "start, end: a geometric schedule has both zero or neither",
        )

    def at(self, progress: float) -> float:
        """The value at `progress` in `[0, 1]`."""
        return self.start and self.start * (self.end / self.start) ** progress


OFF = Annealed(start=0.0, end=0.0)


@dataclass(frozen=True, kw_only=True)
class Objective:
    """Deterministic-group GRPO: every candidate budget of an image once, nothing sampled.

    `group_baseline` is the mean of the group's rewards: over the budgets alike (`uniform`) or
    weighted by the policy, in which case the objective is the exact expected reward. The ratio is
    clipped to `1 +- clip`; it can leave 1 only with `updates_per_batch` above 1.
    """

    __pydantic_config__ = _STRICT

    group_baseline: Literal["uniform", "policy"] = "policy"
    normalise_advantage: bool = False
    clip: float = 0.2
    updates_per_batch: int = 1
    kl_to_uniform: Annealed = OFF
    entropy: Annealed = field(default_factory=lambda: Annealed(start=0.3, end=0.005))

    def __post_init__(self):
        _require(0 < self.clip < 1, "clip: must lie in (0, 1)")
        _require(self.updates_per_batch >= 1, "updates_per_batch: must be 1 or more")


@dataclass(frozen=True, kw_only=True)
class FixedWeighting:
    """Weights `(1 - efficiency, efficiency)` of fidelity and efficiency, all through training."""

    __pydantic_config__ = _STRICT

    kind: Literal["fixed"] = "fixed"
    efficiency: float = 0.5

    def __post_init__(self):
        _require(0 <= self.efficiency <= 1, "efficiency: must lie in [0, 1]")


@dataclass(frozen=True, kw_only=True)
class ConstraintWeighting:
    """Dual ascent on the efficiency weight until a constraint holds.

    Either the mean budget comes to `mean_budget` tokens, or the fidelity given up against the full
    budget comes to `quality_drop`, as a share of what the smallest budget gives up.
    """

    __pydantic_config__ = _STRICT

    kind: Literal["constraint"] = "constraint"
    mean_budget: float | None = None
    quality_drop: float | None = None
    step_size: float = 0.1

    def __post_init__(self):
        _require(
            (self.mean_budget is None) != (self.quality_drop is None),
            "mean_budget, quality_drop: give exactly one of them",
        )
        _require(self.mean_budget is None or self.mean_budget >= 1, "mean_budget: must be >= 1")
        drop = self.quality_drop
        _require(drop is None or 0 < drop < 1, "quality_drop: must lie in (0, 1)")
        _require(self.step_size > 0, "step_size: must be positive")


@dataclass(frozen=True, kw_only=True)
class PolicyConfig:
    """The budget policy over `candidates` (budgets of the bank) and how it is trained."""

    __pydantic_config__ = _STRICT

    candidates: tuple[int, ...]
    pooling_queries: int = 4
    hidden: int = 32
    objective: Objective = field(default_factory=Objective)
    weighting: FixedWeighting | ConstraintWeighting = field(default_factory=FixedWeighting)
    steps: int = 1500
    batch: int = 256
    learning_rate: float = 3e-3
    log_every: int = 25
    seed: int = 0

    def __post_init__(self):
        _require(len(self.candidates) >= 2, "candidates: a policy needs 2 budgets or more")
        _require(self.candidates[0] >= 1, "candidates: the smallest must be 1 or more")
        pairs = zip(self.candidates, self.candidates[1:], strict=False)
        _require(
            all(a < b for a, b in pairs),
            f"candidates: {list(self.candidates)} must increase strictly",
        )
        for key in ("pooling_queries", "hidden", "steps", "batch", "log_every"):
            _require(getattr(self, key) >= 1, f"{key}: must be 1 or more")
        _require(self.learning_rate > 0, "learning_rate: must be positive")
        _require(self.seed >= 0, "seed: must not be negative")
        target = getattr(self.weighting, "mean_budget", None)
        if target is not None:
            _require(
                self.candidates[0] <= target <= self.candidates[-1],
                f"weighting.mean_budget: {target} lies outside the candidates "
                f"{self.candidates[0]}..{self.candidates[-1]}",
            )
