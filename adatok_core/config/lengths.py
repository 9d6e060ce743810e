"""Configuration of the lengths that images keep in the training of a tokenizer."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal

from adatok_core.config.checks import Strict, later, require, traceless
from adatok_core.config.tokenizer import TokenizerConfig


@dataclass(frozen=True, kw_only=True)
class Distillation(Strict):
    """In-place distillation (US-Nets, arXiv 1903.05134): prefixes learn from the full length.

    Their `images`, by the pixel loss, or the `features` of their patches after the decoder's first
    layer, by the squared error, are drawn towards those of the full length, which get no gradient.
    """

    of: Literal["images", "features"] = "images"
    weight: float = 1.0

    def __post_init__(self) -> None:
        require(self.weight > 0, "weight: must be positive; leave distillation out for none")


@dataclass(frozen=True, kw_only=True)
class LengthSampling(Strict):
    """How many leading tokens are kept in training (nested tail masking).

    Lengths are drawn uniformly over the tokenizer's `candidates`, over `all` of 1..N, or over the
    `powers_of_two` up to N; one draw per image or one per batch. With `policy`, the share `share`
    of every batch's images, one at least when it is positive, keeps the length that was chosen for
    the image beforehand, and the others draw as `rest` says (EVATok, arXiv 2603.12267). The share
    `full_share` of every batch's images, one at least when it is positive, keeps all N instead.

    `decodes` of an image in a step: `one` at its drawn length; `pairs`, at all N and at the drawn
    one (NesTok, arXiv 2609.36756); `sandwich`, at all N, at the smallest and at `drawn` drawn ones
    (US-Nets). Losses are the mean over the `R` decodings, each of weight `1 / R`, so the learning
    rate means what it does with one.

    `distillation` and `self_alignment` are further losses between a prefix and the full length,
    summed over an image's decodings and divided by `R` too. `self_alignment` is the weight of 1
    minus the cosine of their features after the decoder's first layer: those of each patch, and the
    mean of the kept tokens' (NesTok, which uses 1).

    `weights` of an image's pixel and perceptual loss by the budget that serves its length:
    `uniform`; by the `inverse_distortion`, the inverse of the budget's running mean pixel loss; or
    by the share of images for which the `policy` chose it, 0 where it never did. Their mean over
    what a step is expected to decode is 1.
    """

    distribution: Literal["candidates", "all", "powers_of_two", "policy"] = "candidates"
    per: Literal["image", "batch"] = "image"
    full_share: float = 0.0
    share: float = later(0.8)
    rest: Literal["candidates", "all", "powers_of_two"] = later("candidates")
    decodes: Literal["one", "pairs", "sandwich"] = later("one")
    drawn: Literal[1, 2] = later(1)
    distillation: Distillation | None = later(None)
    self_alignment: float = later(0.0)
    weights: Literal["uniform", "inverse_distortion", "policy"] = later("uniform")

    def __post_init__(self) -> None:
        require(0 <= self.full_share <= 1, "full_share: must lie in [0, 1]")
        require(0 <= self.share <= 1, "share: must lie in [0, 1]")
        require(self.self_alignment >= 0, "self_alignment: must not be negative")
        if self.distribution != "policy":
            for key in ("share", "rest"):
                self._require_unused(
                    key, f"is for the distribution policy, not {self.distribution}"
                )
        if self.decodes != "sandwich":
            self._require_unused("drawn", f"is for the decodes sandwich, not for {self.decodes}")
        if self.decodes == "one":
            for key in ("distillation", "self_alignment"):
                self._require_unused(key, "needs the full length; set decodes to pairs or sandwich")
            return
        require(
            self.full_share == 0,
            f"full_share: with {self.decodes} every image is decoded at its full length; set it "
            "to 0",
        )

    def _require_unused(self, key: str, problem: str) -> None:
        (one,) = (one for one in fields(self) if one.name == key)
        require(traceless(self, one), f"{key}: {problem}")

    @property
    def drawn_from(self) -> Literal["candidates", "all", "powers_of_two"]:
        """The distribution of the lengths that nobody has chosen."""
        return self.rest if self.distribution == "policy" else self.distribution

    @property
    def needs_chosen(self) -> bool:
        """Whether a policy must have chosen a length for each training image."""
        return "policy" in (self.distribution, self.weights)

    @property
    def decodings(self) -> int:
        """Times `R` that a step decodes an image."""
        return {"one": 1, "pairs": 2, "sandwich": 2 + self.drawn}[self.decodes]

    @property
    def aligns_features(self) -> bool:
        """Whether features of the decoder's first layer enter a loss."""
        distils = self.distillation is not None and self.distillation.of == "features"
        return distils or self.self_alignment > 0


def lengths_problem(tokenizer: TokenizerConfig, lengths: LengthSampling) -> str | None:
    """The first thing that does not fit between a tokenizer and the lengths of its training."""
    if lengths.decodes == "one":
        return None
    if tokenizer.encoding == "halting":
        return (
            f"lengths.decodes: {lengths.decodes} are not for the encoding halting, which decodes "
            "an image twice already; set it to one"
        )
    if len(tokenizer.budgets) == 1 and lengths.drawn_from == "candidates":
        return (
            f"lengths.decodes: {lengths.decodes} of the only length {tokenizer.max_tokens}; set it "
            "to one"
        )
    if lengths.aligns_features and tokenizer.decoders != "shared":
        key = "self_alignment" if lengths.self_alignment else "distillation.of"
        return f"lengths.{key}: separate decoders have no features in common; leave it out"
    return None
