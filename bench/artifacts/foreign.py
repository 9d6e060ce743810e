"""Tokenizers that were not trained here: what their artifacts hold, and making them of it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from adatok_core.protocols import Tokenizer
from adatok_core.registry import load_attribute
from bench.config.settings import parse, plain
from bench.config.tokenizers import foreign_kind
from bench.errors import UserError
from bench.files import content_sha256, write_json

SETTINGS, IDENTITY = "tokenizer.json", "identity.json"


def identity_sha256(identity: dict[str, Any]) -> str:
    """Hash of what `identify` gives; a factory's file may lie anywhere, its content counts."""
    name = str(identity.get("factory", "")).rpartition("/")[2]
    return content_sha256({**identity, "factory": name})


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

    @staticmethod
    def planned(config: dict[str, Any], runtime: dict[str, Any]) -> ForeignSettings:
        """Those of a stage that looks at a tokenizer."""
        return ForeignSettings(runtime["tokenizer"], runtime["folder"], config["identity"])

    def write(self, artifact: Path, config: dict[str, Any]) -> None:
        """Write both files of such a stage, whose configuration stands for the content."""
        content = ("identity", "tokenizer", "resolution")
        write_json(artifact / SETTINGS, asdict(self))
        write_json(artifact / IDENTITY, {name: config[name] for name in content})

    @property
    def sha256(self) -> str:
        """Hash that stands for its weights in files of tokens."""
        return identity_sha256(self.identity)

    def at(self, budgets: tuple[int, ...] | None) -> ForeignSettings:
        """The same tokenizer at other budgets, where there are any."""
        if budgets is None:
            return self
        return replace(self, tokenizer={**self.tokenizer, "budgets": list(budgets)})

    def require_unchanged(self) -> None:
        """Refuse a tokenizer whose code or files are not what they were, before it is made.

        Raises:
            UserError: names what is another, or missing.
        """
        settings = self._parsed()
        found = load_attribute(foreign_kind(self.tokenizer["kind"]).identify)(
            settings, folder=self.folder
        )
        if found == self.identity:
            return
        factory = self.tokenizer.get("factory", self.tokenizer["kind"])
        given, known = (one.get("arguments", {}) for one in (found, self.identity))
        for name in known:
            if given.get(name) != known[name]:
                raise UserError(
                    f"tokenizer {factory}: argument '{name}': "
                    f"{self.tokenizer['arguments'].get(name)} (relative to {self.folder}) is "
                    "missing, or not what it was; bring back the file, or export the cell again"
                )
        raise UserError(
            f"tokenizer {factory}: its code is not what it was; bring it back, or run the suite "
            "and export the cell again"
        )

    def placed(self) -> dict[str, Any]:
        """Settings of a suite's `tokenizer`, with full paths."""
        kind = foreign_kind(self.tokenizer["kind"])
        if kind.placed is None:
            return self.tokenizer
        found: dict[str, Any] = load_attribute(kind.placed)(self._parsed(), folder=self.folder)
        return {name: plain(value) for name, value in found.items()}

    def _parsed(self) -> Any:
        return parse(foreign_kind(self.tokenizer["kind"]).config, self.tokenizer, where="tokenizer")

    def trained_lengths(self) -> set[int]:
        """Numbers of tokens that its training drew, as far as it is known."""
        trained = foreign_kind(self.tokenizer["kind"]).trained
        if trained is None:
            return set(self.tokenizer["budgets"])
        found: set[int] = load_attribute(trained)(self._parsed(), folder=self.folder)
        return found

    def load(self, *, device: str) -> Tokenizer:
        """Make the tokenizer.

        Raises:
            MissingFileError: a file that it needs is not there.
            UserError: it is not what it was when the stage was planned, or cannot be made.
        """
        kind = foreign_kind(self.tokenizer["kind"])
        settings = self._parsed()
        tokenizer: Tokenizer = kind.load()(settings, folder=self.folder, device=device)
        identify = load_attribute(kind.identify)
        if identify(settings, folder=self.folder) != self.identity:
            raise UserError(
                f"tokenizer: {self.tokenizer['kind']}: its code or its files changed since it was "
                "looked at; run the suite again, which takes it as a new one"
            )
        return tokenizer
