"""Configuration of the elastic tokenizer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from adatok_core.config.checks import Strict, require, require_budgets
from adatok_core.config.encoder import Encoding
from adatok_core.config.quantizer import FSQ, Quantizer

Layer = Literal["embed", "qkv", "out", "expand", "contract", "pixels"]


@dataclass(frozen=True, kw_only=True)
class LoRA(Strict):
    """Low-rank adapters (Hu et al. 2021) on linear layers of the decoder; rank 0 is none.

    `adapters`: one set per budget; or, as controls, one set `shared` by all budgets, of the same
    rank or, `shared_same_parameters`, of `M` times the rank. `layers` are the decoder's: token
    embedding, the two of attention, the two of the MLP, the pixel head. No layer's adapter has
    more ranks than its smaller side, beyond which they would add nothing.
    """

    rank: int = 16
    alpha: float = 16.0
    adapters: Literal["per_budget", "shared", "shared_same_parameters"] = "per_budget"
    layers: tuple[Layer, ...] = ("embed", "qkv", "out", "expand", "contract", "pixels")

    def __post_init__(self) -> None:
        require(self.rank >= 0, "rank: must not be negative")
        require(self.alpha > 0, "alpha: must be positive")
        require(len(set(self.layers)) == len(self.layers), "layers: one is named twice")
        require(len(self.layers) > 0, "layers: name one or more; rank 0 is no adapters")


@dataclass(frozen=True, kw_only=True)
class TokenizerConfig(Strict):
    """Shape of the elastic tokenizer. A single budget makes it a fixed-length tokenizer.

    `budgets` are the candidate budgets `b_1 < ... < b_M`; `b_M = N` is the number of latents.

    `encoding`: `one_pass` over latent queries, nested; a 2-D `grid` of one token per patch, whose
    number is the only budget; `told` which tokens are kept (ElasticTok); `recurrent`, adding
    `N / rollouts` tokens at a time, the step of all budgets (ALIT); `halting` by itself at a target
    quality (KARL). Only `recurrent` has `rollouts`.

    `tail` is what becomes of the tokens behind the budget: `dropped` from the sequence (as far as
    the batch's longest prefix allows, the rest hidden), `hidden` from attention, or replaced: codes
    by `zeros`, embedded tokens by one learned `mask_vector` or by learned `null_vectors`, one per
    position.

    `latent_attention`: with `full`, queries and patches attend to all; with `patches`, a query
    attends to the patches and itself, patches to patches, so token `i` depends on query `i` only;
    for the encoding `one_pass`.

    `decoders`: one decoder for all budgets, or, as the upper bound, one `per_budget`.
    """

    budgets: tuple[int, ...] = (2, 4, 8, 16)
    patch_size: int = 8
    width: int = 128
    encoder_depth: int = 4
    decoder_depth: int = 4
    attention_heads: int = 4
    encoding: Encoding = "one_pass"
    rollouts: int | None = None
    latent_attention: Literal["full", "patches"] = "full"
    quantizer: Quantizer = field(default_factory=FSQ)
    tail: Literal["dropped", "hidden", "zeros", "mask_vector", "null_vectors"] = "hidden"
    lora: LoRA = field(default_factory=LoRA)
    decoders: Literal["shared", "per_budget"] = "shared"

    def __post_init__(self) -> None:
        require_budgets("budgets", self.budgets, at_least=1)
        for key in ("patch_size", "width", "encoder_depth", "decoder_depth", "attention_heads"):
            require(getattr(self, key) >= 1, f"{key}: must be 1 or more")
        require(
            self.width % self.attention_heads == 0,
            f"attention_heads: {self.attention_heads} must divide the width {self.width}",
        )
        require(
            self.lora.rank <= self.width,
            f"lora.rank: {self.lora.rank} exceeds the decoder's width {self.width}",
        )
        require(
            self.decoders == "shared" or self.lora.rank == 0,
            "lora.rank: separate decoders carry no adapters; set it to 0",
        )
        self._check_encoding()

    def _check_encoding(self) -> None:
        require(
            self.encoding == "one_pass" or self.latent_attention == "full",
            f"latent_attention: {self.latent_attention} is for the encoding one_pass, not for "
            f"{self.encoding}",
        )
        require(
            self.encoding != "grid" or len(self.budgets) == 1,
            "budgets: the grid encoding has a single one, the number of patches",
        )
        if self.encoding != "recurrent":
            require(
                self.rollouts is None,
                f"rollouts: is for the encoding recurrent, not for {self.encoding}; set it to null",
            )
            return
        rollouts = self.rollouts or 0
        require(rollouts >= 1, "rollouts: the recurrent encoding needs 1 or more")
        require(
            self.max_tokens % rollouts == 0,
            f"rollouts: {rollouts} must divide the {self.max_tokens} tokens",
        )
        step = self.max_tokens // rollouts
        require(
            all(budget % step == 0 for budget in self.budgets),
            f"budgets: {list(self.budgets)} must be multiples of {step}, the tokens of a roll-out",
        )

    @property
    def max_tokens(self) -> int:
        """Number of latents `N`, the full budget."""
        return self.budgets[-1]
