"""Settings of the banks."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field

from adatok_core.config.checks import Strict

LITE0_SMALLEST = 32
# Lists that leave no trace in stage keys where they are empty.
LISTS = ("extractors", "metrics")
_SHA256_START = "[0-9a-f]{8,64}"


@dataclass(frozen=True, kw_only=True)
class BankConfig(Strict):
    """Contents of the banks.

    `budgets` are the lengths to decode at (the tokenizer's, when null); those that training never
    drew are flagged. `own_targets` are mean absolute errors on [0, 1] at which a halting tokenizer
    chooses its lengths itself. `policy_images` is how many training images the policy's bank takes
    (all, when null): of an image folder and of shards a sample by class that `policy_seed` draws
    (0, when null), of others the first ones, unless the seed is given. `latents` is to how many
    vectors an image's latents are averaged, neighbours with neighbours (all are kept, when null;
    none, when 0). `policy_perceptual` says whether it measures perceptual distances too;
    `extractor_resolution` the side in px to which Lite0's input is resized; `second_extractor`
    whether Lite1 gives distances too; `inception_weights` a path to torch-fidelity's weight file,
    without which there is no rFID, and `inception_sha256` how that file's SHA-256 begins.
    `extractors` names further metric networks, and `metrics` further metrics of single images, of
    the bank that results come from. `weights` holds paths of the weight files that such networks
    need, by name, and `weights_sha256` how the SHA-256 of those begin that are not the published
    ones.
    """

    budgets: tuple[int, ...] | None = None
    own_targets: tuple[float, ...] | None = None
    policy_images: int | None = None
    policy_seed: int | None = None
    latents: int | None = None
    policy_perceptual: bool = False
    extractor_resolution: int = 64
    second_extractor: bool = False
    inception_weights: str | None = None
    inception_sha256: str = "6726825d"
    batch: int = 64
    shard: int = 1024
    extractors: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    weights: dict[str, str] = field(default_factory=dict)
    weights_sha256: dict[str, str] = field(default_factory=dict)

    @property
    def named(self) -> dict[str, list[str]]:
        """The `LISTS` that are given."""
        return {key: list(getattr(self, key)) for key in LISTS if getattr(self, key)}

    @property
    def weight_paths(self) -> dict[str, str]:
        """Absolute paths of weight files by name, Inception's among them; `~` is the home."""
        own = {} if self.inception_weights is None else {"inception": self.inception_weights}
        paths = (own | self.weights).items()
        return {name: os.path.abspath(os.path.expanduser(path)) for name, path in paths}

    @property
    def weight_hashes(self) -> dict[str, str]:
        """How the SHA-256 of those files begin, as far as it is said here."""
        own = {} if self.inception_weights is None else {"inception": self.inception_sha256}
        return own | self.weights_sha256

    def __post_init__(self) -> None:
        for key in ("policy_images", "batch", "shard"):
            value = getattr(self, key)
            if value is not None and value < 1:
                raise ValueError(f"{key}: must be 1 or more")
        for key in ("policy_seed", "latents"):
            value = getattr(self, key)
            if value is not None and value < 0:
                raise ValueError(f"{key}: must be 0 or more, or null")
        if self.extractor_resolution < LITE0_SMALLEST:
            raise ValueError(f"extractor_resolution: must be {LITE0_SMALLEST} px or more")
        hashes = {f"weights_sha256.{name}": value for name, value in self.weights_sha256.items()}
        for key, value in {"inception_sha256": self.inception_sha256, **hashes}.items():
            if not re.fullmatch(_SHA256_START, value):
                raise ValueError(f"{key}: must be 8 to 64 hexadecimal digits, in lower case")
        for key in ("weights", "weights_sha256"):
            if "inception" in getattr(self, key):
                raise ValueError(f"{key}.inception: set inception_{key.removeprefix('weights_')}")
        for key in LISTS:
            names = getattr(self, key)
            if len({*names}) < len(names):
                raise ValueError(f"{key}: {list(names)} has a name twice")
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
