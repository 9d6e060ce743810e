"""Reconstructions that were made elsewhere, read for use as `Decodings`."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from bench.artifacts.decodings import Originals
from bench.artifacts.foreign import IDENTITY, ForeignSettings
from bench.config.settings import parse
from bench.config.tokenizers import Reconstructions
from bench.data.decoding import load_image
from bench.errors import UserError
from bench.external.adapter import PATCH
from bench.external.inventory import File, Inventory
from bench.files import open_regular


@dataclass(frozen=True, kw_only=True)
class UnknownTokenizer:
    """The `Facts` of a tokenizer of which its reconstructions alone are there."""

    settings: Reconstructions
    image_size: int
    has_ids: bool

    @property
    def budgets(self) -> Sequence[int]:
        """Those of the folder, or of the settings."""
        return self.settings.known_budgets

    @property
    def max_tokens(self) -> int:
        """The largest budget."""
        return self.settings.max_tokens

    @property
    def nested(self) -> bool | None:
        """As the settings say, if they do."""
        return self.settings.nested

    @property
    def patch_size(self) -> int:
        """That of an external tokenizer which names none."""
        return math.gcd(self.image_size, PATCH)

    @property
    def bits_per_token(self) -> float | None:
        """From the size of the codebook, where it is given."""
        codes = self.settings.codes
        return None if codes is None else math.log2(codes)

    @property
    def code_sizes(self) -> Sequence[int] | None:
        """An id is one code; None where there are no ids."""
        codes = self.settings.codes
        return None if codes is None or not self.has_ids else (codes,)

    def codes(self, ids: Tensor) -> Tensor:
        """The ids `[B, K, 1]`."""
        return ids[..., None]

    def parameter_counts(self) -> tuple[None, None]:
        """Not known."""
        return None, None


@dataclass(frozen=True, kw_only=True, eq=False)
class FileDecodings:
    """Those that were made elsewhere, read from the folder `root` as an `inventory` lists them."""

    root: Path
    inventory: Inventory
    facts: UnknownTokenizer
    tokenizer: None = None

    @staticmethod
    def load(artifact: Path, *, root: str) -> FileDecodings:
        """Those of an artifact, whose files lie in `root` now."""
        inventory, about = Inventory.read(artifact), ForeignSettings.read(artifact)
        facts = UnknownTokenizer(
            settings=parse(Reconstructions, about.tokenizer, where="tokenizer"),
            image_size=json.loads((artifact / IDENTITY).read_text("utf-8"))["resolution"],
            has_ids=inventory.tokens is not None,
        )
        return FileDecodings(root=Path(root), inventory=inventory, facts=facts)

    def encoded(self, images: Originals) -> tuple[Tensor | None, None]:
        """The ids that are listed, if any are."""
        ids = self.inventory.ids(images.names)
        return None if ids is None else torch.from_numpy(ids), None

    def pictures(
        self, images: Originals, ids: Tensor | None, budgets: Iterable[int]
    ) -> list[Tensor]:
        """Read from their files.

        Raises:
            UserError: a file is not the one that was listed.
        """
        return [self._read(images, budget) for budget in budgets]

    def again(self, images: Originals, ids: Tensor | None, budget: int) -> Tensor:
        """Read once more."""
        return self._read(images, budget)

    def _read(self, images: Originals, budget: int) -> Tensor:
        files = self.inventory.of(images.names, budget)
        read = np.stack([self._unchanged(file) for file in files])
        return torch.from_numpy(read).to(images.pixels.device)

    def _unchanged(self, file: File) -> np.ndarray:
        try:
            with open_regular(self.root / file.path) as opened:
                if hashlib.file_digest(opened, "sha256").hexdigest() == file.sha256:
                    opened.seek(0)
                    return load_image(opened, resolution=self.facts.image_size)
                how = "other content"
        except OSError as error:
            how = error.strerror or str(error)
        raise UserError(
            f"tokenizer.path: {self.root}: {file.path} has changed since it was looked at ({how}); "
            "run again to take the folder as it is now"
        )
