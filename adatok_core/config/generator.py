"""Configurations of the generator, and of how its tokens are drawn."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from adatok_core.config.checks import Strict, require


@dataclass(frozen=True, kw_only=True)
class GeneratorConfig(Strict):
    """A decoder-only transformer over token ids, and how its sequences tell their length.

    `lengths`: `fixed`, all images have the same number of tokens; `end_token`, an end token follows
    the last one; `length_token`, a token that names the budget comes first. `hidden` is the width
    of the gated network (SwiGLU): None for 8/3 of the width, rounded up to a multiple of 64.
    In training the class of the share `class_dropout` of all sequences is replaced by the null
    class; without it there is no guidance. LlamaGen-B (Sun et al. 2024) has width 768, depth 12
    and 12 heads.
    """

    lengths: Literal["fixed", "end_token", "length_token"] = "fixed"
    width: int = 128
    depth: int = 4
    attention_heads: int = 4
    hidden: int | None = None
    norm: Literal["rms", "layer"] = "rms"
    positions: Literal["rotary", "learned"] = "rotary"
    class_conditional: bool = True
    class_dropout: float = 0.1

    def __post_init__(self) -> None:
        for key in ("width", "depth", "attention_heads"):
            require(getattr(self, key) >= 1, f"{key}: must be 1 or more")
        require(
            self.width % self.attention_heads == 0,
            f"attention_heads: {self.attention_heads} must divide the width {self.width}",
        )
        require(
            self.positions == "learned" or self.width // self.attention_heads % 2 == 0,
            "attention_heads: rotary positions need an even width of each head",
        )
        require(self.hidden is None or self.hidden >= 1, "hidden: must be 1 or more")
        require(0 <= self.class_dropout < 1, "class_dropout: must lie in [0, 1)")
        require(
            self.class_conditional or self.class_dropout == 0,
            "class_dropout: must be 0 without classes (class_conditional: false)",
        )


@dataclass(frozen=True, kw_only=True)
class Sampling(Strict):
    """How a token is drawn from logits.

    `temperature` 0 takes the most probable token. The `top_k` most probable tokens are kept (0: all
    of them), of these the fewest that together have the share `top_p` of the probability.
    `guidance` extrapolates from the null class's logits past the class's own (1: off).
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    guidance: float = 1.0

    def __post_init__(self) -> None:
        require(0 <= self.temperature < math.inf, "temperature: must be finite and not negative")
        require(self.top_k >= 0, "top_k: must not be negative; 0 keeps all tokens")
        require(0 < self.top_p <= 1, "top_p: must lie in (0, 1]")
        require(1 <= self.guidance < math.inf, "guidance: must be finite, and 1 (off) or more")


def require_guidance(config: GeneratorConfig, guidance: float, *, key: str = "guidance") -> None:
    """Refuse guidance of a model that was never shown a sequence without its class.

    Raises:
        ValueError: begins with `key`.
    """
    if guidance == 1:
        return
    require(config.class_conditional, f"{key}: the generator knows no classes; set it to 1")
    require(
        config.class_dropout > 0,
        f"{key}: the generator never sees the null class; give generator.class_dropout a "
        "positive value, or set this to 1",
    )
