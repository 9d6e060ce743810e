"""Configurations of the discrete bottleneck.

Loss weights are relative to a pixel loss of about 0.01. The customary commitment of 0.25 goes with
losses of the size of 1; here it collapsed every learned codebook to a few codes within 50 steps.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from math import prod
from typing import Annotated, Literal, Protocol

from adatok_core.choices import Choice, OneOf
from adatok_core.config.checks import Strict, require
from adatok_core.registry import Registry


@dataclass(frozen=True, kw_only=True)
class FSQ(Strict):
    """Finite scalar quantization (Mentzer et al. 2023): one code per combination of `levels`."""

    kind: Literal["fsq"] = "fsq"
    levels: tuple[int, ...] = (8, 5, 5, 5)

    def __post_init__(self) -> None:
        require(len(self.levels) > 0, "levels: needs at least one dimension")
        require(min(self.levels) >= 2, "levels: each dimension needs 2 levels or more")

    @property
    def codebook_size(self) -> int:
        """Number of codes `V`."""
        return prod(self.levels)


@dataclass(frozen=True, kw_only=True)
class LFQ(Strict):
    """Lookup-free quantization (Yu et al. 2024, MAGVIT-v2): the signs of `bits` numbers.

    `entropy_weight` weighs the entropy of each token's bits minus `diversity` times that of the
    batch, both factorised over bits; bits are Bernoulli with logits `2 x point / temperature`.
    """

    kind: Literal["lfq"] = "lfq"
    bits: int = 12
    commitment: float = 0.002
    entropy_weight: float = 0.001
    diversity: float = 1.0
    temperature: float = 1.0

    def __post_init__(self) -> None:
        require(1 <= self.bits <= 48, "bits: must lie in 1..48")
        for key in ("commitment", "entropy_weight", "diversity"):
            require(getattr(self, key) >= 0, f"{key}: must not be negative")
        require(self.temperature > 0, "temperature: must be positive")

    @property
    def codebook_size(self) -> int:
        """Number of codes `V`."""
        return 1 << self.bits


@dataclass(frozen=True, kw_only=True)
class VQ(Strict):
    """Vector quantization on the unit sphere (ViT-VQGAN): gradient-trained codebook.

    A code whose running usage (decay `usage_decay`) falls below `revive_below` times the uniform
    share is replaced by a latent of the current batch; 0 switches revival off.
    """

    kind: Literal["vq"] = "vq"
    codebook_size: int = 1024
    dimension: int = 12
    commitment: float = 0.002
    usage_decay: float = 0.99
    revive_below: float = 0.03

    def __post_init__(self) -> None:
        _check_codebook(self)


@dataclass(frozen=True, kw_only=True)
class ResidualVQ(Strict):
    """Residual vector quantization (Lee et al. 2022): `depth` codebooks, each for what is left.

    A token is `depth` codes of `entries` each; dead entries are revived as in `VQ`.
    """

    kind: Literal["residual_vq"] = "residual_vq"
    entries: int = 256
    depth: int = 2
    dimension: int = 12
    commitment: float = 0.002
    usage_decay: float = 0.99
    revive_below: float = 0.03

    def __post_init__(self) -> None:
        require(self.entries >= 2, "entries: must be 2 or more")
        require(self.depth >= 1, "depth: must be 1 or more")
        require(
            self.depth * math.log2(self.entries) <= 62,
            "depth: a token's code must fit 62 bits; use fewer entries or a smaller depth",
        )
        _check_codebook(self)

    @property
    def codebook_size(self) -> int:
        """Number of codes `V` of a token, all depths together."""
        return prod([self.entries] * self.depth)


def _check_codebook(config: VQ | ResidualVQ) -> None:
    require(config.codebook_size >= 2, "codebook_size: must be 2 or more")
    require(config.dimension >= 1, "dimension: must be 1 or more")
    require(config.commitment >= 0, "commitment: must not be negative")
    require(0 <= config.usage_decay < 1, "usage_decay: must lie in [0, 1)")
    require(0 <= config.revive_below < 1, "revive_below: must lie in [0, 1)")


class QuantizerConfig(Protocol):
    """A frozen dataclass with the settings of a quantizer."""

    @property
    def kind(self) -> str:
        """The name that the quantizer is registered under."""

    @property
    def codebook_size(self) -> int:
        """Number of codes `V`."""


# `build(width, config, tokens=N)` gives an `adatok_core.quantizers.Quantizer`.
QUANTIZERS: Registry[Choice] = Registry(
    "quantizer", group="adatok_bench.quantizers", expects=Choice
)
QUANTIZERS.add("fsq", Choice(config=FSQ, build="adatok_core.quantizers.fsq:FSQ"))
QUANTIZERS.add("lfq", Choice(config=LFQ, build="adatok_core.quantizers.lfq:LFQ"))
QUANTIZERS.add("vq", Choice(config=VQ, build="adatok_core.quantizers.vq:VQ"))
QUANTIZERS.add(
    "residual_vq", Choice(config=ResidualVQ, build="adatok_core.quantizers.residual_vq:ResidualVQ")
)

Quantizer = Annotated[QuantizerConfig, OneOf(QUANTIZERS)]
