"""Reading a bank: a set of images as one frozen tokenizer decodes them at every budget.

    bank.json               budgets, codebook size and usage, timings, protocol's parts, `nested`,
                            `tokenizer_sha256` of the weights, `own_targets`, `metrics` that a
                            suite named
    images.parquet          one row per image and budget: id, sha256, label, complexity, errors
    latents.npy             encoder features `[n, N, D]` float16, if any; pooled, fewer than N
    ids.npy                 token ids `[n, N]` int16, of more than 2^15 codes uint16, 2^16 int32,
                            2^31 int64; banks of earlier versions have no 16 bits
    image_rows.npy          rows `[n]` of the image set, where they are a sample of it
    mse.npy, psnr.npy, ssim.npy, perceptual.npy   `[n, M]` float32 (the last where Lite0 was run)
    <metric>.npy            each metric of single images that a suite named, likewise
    <extractor>.npy         features of reconstructions `[n, M, d]` float32 (evaluation bank)
    <extractor>_originals.npy   features of the originals `[n, d]`
    own_tokens.npy          tokens a halting tokenizer takes at each of `E` targets `[n, E]`
    own_<name>.npy          metrics and features at those lengths, `[n, E]` and `[n, E, d]`

Arrays are memory-mapped.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from bench.artifacts.foreign import IDENTITY
from bench.errors import UserError
from bench.files import file_sha256
from bench.metrics.extractors import EXTRACTORS
from bench.metrics.features import ChosenFeatures
from bench.metrics.per_image import ALWAYS

TOKENIZER_WEIGHTS = "tokenizer.safetensors"
IMAGE_ROWS, TABLE = "image_rows", "images.parquet"


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
        names = self.about["extractors"]
        return [name for name in names if EXTRACTORS[name].reconstructions is not None]

    @property
    def measured(self) -> list[str]:
        """Names of the metrics that the bank holds for each image and budget."""
        return [name for name in per_image_names(self.about) if name in self.about["arrays"]]

    def array(self, name: str) -> np.ndarray:
        """A memory-mapped array by its file's name."""
        array: np.ndarray = np.load(self.path / f"{name}.npy", mmap_mode="r", allow_pickle=False)
        return array

    @property
    def image_rows(self) -> np.ndarray | None:
        """Rows `[n]` of the image set that its images are; None where they are the first ones."""
        return self.array(IMAGE_ROWS) if self.about["images"].get("sample") else None

    def per_budget(self, name: str) -> np.ndarray:
        """One of the metrics `measured`, `[n, M]` float64."""
        return np.asarray(self.array(name), dtype=np.float64)

    def features(self, extractor: str, chosen: np.ndarray) -> ChosenFeatures:
        """Features `[n, d]` of each image at the budget with index `chosen [n]`."""
        return ChosenFeatures(partial(self.array, extractor), chosen)

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
        tokens: np.ndarray = self.budgets[chosen]
        return tokens

    def rows(self, chosen: np.ndarray) -> pd.DataFrame:
        """The table's rows of each image at the budget with index `chosen [n]`."""
        places = np.arange(len(chosen)) * len(self.budgets) + chosen
        rows: pd.DataFrame = self.table().iloc[places]
        return rows

    def table(self) -> pd.DataFrame:
        """One row per image and budget."""
        table: pd.DataFrame = pd.read_parquet(self.path / TABLE)
        return table

    def image_table(self, *columns: str) -> pd.DataFrame:
        """These columns of the table, one row per image: a part of it at a time is in memory."""
        parts, row, every = [], 0, len(self.budgets)
        for batch in pq.ParquetFile(self.path / TABLE).iter_batches(columns=list(columns)):
            parts.append(batch.take(pa.array(range(-row % every, len(batch), every))))
            row += len(batch)
        table: pd.DataFrame = pa.Table.from_batches(parts).to_pandas()
        return table


def per_image_names(about: dict[str, Any]) -> list[str]:
    """Names of metrics of single images that a bank may hold, in the order of its table."""
    perceptual = (EXTRACTORS[name].perceptual for name in about["extractors"])
    return [*ALWAYS, *(one.name for one in perceptual if one), *about.get("metrics", ())]


def tokenizer_sha256(artifact: Path) -> str:
    """Hash of the weight file of a tokenizer's artifact, or of what stands for its content."""
    weights = artifact / TOKENIZER_WEIGHTS
    return file_sha256(weights if weights.is_file() else artifact / IDENTITY)
