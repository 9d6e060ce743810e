"""Reading a bank: what one frozen tokenizer does to a set of images at every budget.

    bank.json               budgets, codebook size and usage, timings, protocol's parts, `nested`,
                            `tokenizer_sha256` of the weights, `own_targets`
    images.parquet          one row per image and budget: id, sha256, label, complexity, errors
    latents.npy             encoder features `[n, N, D]` float16
    ids.npy                 token ids `[n, N]` int32, or int64 above 2^31 codes
    mse.npy, psnr.npy, ssim.npy, perceptual.npy   `[n, M]` float32 (the last where Lite0 was run)
    <extractor>.npy         features of reconstructions `[n, M, d]` float32 (evaluation bank)
    <extractor>_originals.npy   features of the originals `[n, d]`
    own_tokens.npy          tokens a halting tokenizer takes at each of `E` targets `[n, E]`
    own_<name>.npy          metrics and features at those lengths, `[n, E]` and `[n, E, d]`

Arrays are memory-mapped.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bench.errors import UserError
from bench.files import file_sha256

TOKENIZER_WEIGHTS = "tokenizer.safetensors"
PER_BUDGET = ("mse", "psnr", "ssim", "perceptual")


@dataclass(frozen=True)
class Bank:
    """A complete bank at `path`."""

    path: Path
    about: dict[str, Any]

    @staticmethod
    def read(path: Path) -> Bank:
        """Open the bank of a stage's artifact."""
        return Bank(path, json.loads((path / "bank.json").read_text("utf-8")))

    @property
    def budgets(self) -> np.ndarray:
        """The tokenizer's budgets `[M]`."""
        return np.array(self.about["budgets"])

    @property
    def extractors(self) -> list[str]:
        """Names of the metric networks whose features the bank holds."""
        return list(self.about["extractors"])

    def array(self, name: str) -> np.ndarray:
        """A memory-mapped array by its file's name."""
        return np.load(self.path / f"{name}.npy", mmap_mode="r", allow_pickle=False)

    def per_budget(self, name: str) -> np.ndarray:
        """One of `PER_BUDGET`, `[n, M]` float64."""
        return np.asarray(self.array(name), dtype=np.float64)

    def features(self, extractor: str, chosen: np.ndarray) -> np.ndarray:
        """Features `[n, d]` of each image at the budget with index `chosen [n]`."""
        features = self.array(extractor)
        return features[np.arange(len(chosen)), chosen]

    def columns(self, candidates: list[int]) -> np.ndarray:
        """Column of each candidate budget; they are known to be among the bank's."""
        return np.searchsorted(self.budgets, candidates)

    def require_tokenizer(self, artifact: Path) -> None:
        """Refuse a tokenizer that is not the one this bank was made with.

        Raises:
            UserError: its weights are others.
        """
        weights = tokenizer_sha256(artifact)
        if weights != self.about["tokenizer_sha256"]:
            raise UserError(
                f"{self.path}: made with another tokenizer ({self.about['tokenizer_sha256'][:12]}) "
                f"than {artifact} ({weights[:12]}); remove the bank to have it made again"
            )

    def tokens(self, chosen: np.ndarray) -> np.ndarray:
        """Tokens `[n]` of each image at the budget with index `chosen [n]`."""
        return self.budgets[chosen]

    def rows(self, chosen: np.ndarray) -> pd.DataFrame:
        """The table's rows of each image at the budget with index `chosen [n]`."""
        return self.table().iloc[np.arange(len(chosen)) * len(self.budgets) + chosen]

    def table(self) -> pd.DataFrame:
        """One row per image and budget."""
        return pd.read_parquet(self.path / "images.parquet")


def tokenizer_sha256(artifact: Path) -> str:
    """Hash of the weight file of a tokenizer's artifact."""
    return file_sha256(artifact / TOKENIZER_WEIGHTS)
