"""Tokenizers that were not trained here: what their artifacts hold, and making them of it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from adatok_core.protocols import Tokenizer
from adatok_core.registry import load_attribute
from bench.config.settings import parse
from bench.config.tokenizers import foreign_kind
from bench.errors import UserError

SETTINGS, IDENTITY = "tokenizer.json", "identity.json"


@dataclass(frozen=True)
class ForeignSettings:
    """Settings of a tokenizer; relative paths in them are relative to `folder`."""

    tokenizer: dict[str, Any]
    folder: str
    identity: dict[str, Any]

    @staticmethod
    def read(artifact: Path) -> ForeignSettings:
        """Those of an artifact."""
        return ForeignSettings(**json.loads((artifact / SETTINGS).read_text("utf-8")))

    def plain(self) -> dict[str, Any]:
        """Plain values, for `read`."""
        return asdict(self)

    def load(self, *, device: str) -> Tokenizer:
        """Make the tokenizer.

        Raises:
            MissingFileError: a file that it needs is not there.
            UserError: it is not what it was when the stage was planned, or cannot be made.
        """
        kind = foreign_kind(self.tokenizer["kind"])
        settings = parse(kind.config, self.tokenizer, where="tokenizer")
        tokenizer: Tokenizer = kind.load()(settings, folder=self.folder, device=device)
        identify = load_attribute(kind.identify)
        if identify(settings, folder=self.folder) != self.identity:
            raise UserError(
                f"tokenizer: {self.tokenizer['kind']}: its code or its files changed since it was "
                "looked at; run the suite again, which takes it as a new one"
            )
        return tokenizer
