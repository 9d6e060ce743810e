"""Configuration of the lengths that images keep in the training of a tokenizer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from adatok_core.config.checks import Strict, later, require

DEFAULT_SHARE = 0.8


@dataclass(frozen=True, kw_only=True)
class LengthSampling(Strict):
    """How many leading tokens are kept in training (nested tail masking).

    Lengths are drawn uniformly over the tokenizer's `candidates`, over `all` of 1..N, or over the
    `powers_of_two` up to N; one draw per image or one per batch. With `policy`, the share `share`
    of every batch's images, one at least when it is positive, keeps the length that was chosen for
    the image beforehand, and the others draw as `rest` says (EVATok, arXiv 2603.12267). The share
    `full_share` of every batch's images, one at least when it is positive, keeps all N instead.
    """

    distribution: Literal["candidates", "all", "powers_of_two", "policy"] = "candidates"
    per: Literal["image", "batch"] = "image"
    full_share: float = 0.0
    share: float = later(DEFAULT_SHARE)
    rest: Literal["candidates", "all", "powers_of_two"] = later("candidates")

    def __post_init__(self) -> None:
        require(0 <= self.full_share <= 1, "full_share: must lie in [0, 1]")
        require(0 <= self.share <= 1, "share: must lie in [0, 1]")
        if self.distribution != "policy":
            for key, default in (("share", DEFAULT_SHARE), ("rest", "candidates")):
                require(
                    getattr(self, key) == default,
                    f"{key}: is for the distribution policy, not for {self.distribution}; "
                    "leave it out",
                )

    @property
    def drawn(self) -> Literal["candidates", "all", "powers_of_two"]:
        """The distribution of the lengths that nobody has chosen."""
        return self.rest if self.distribution == "policy" else self.distribution
