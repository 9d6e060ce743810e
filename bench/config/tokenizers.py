"""Tokenizers that a suite may name: ours, trained from its settings, and those of others."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from adatok_core.choices import Choice, OneOf
from adatok_core.config import TokenizerConfig
from adatok_core.config.checks import Strict, require, require_budgets
from adatok_core.registry import Registry

ELASTIC = "elastic"


@dataclass(frozen=True, kw_only=True)
class ForeignTokenizer(Strict):
    """Settings that all tokenizers have in common which are not trained here.

    `budgets` are the lengths to use it at; where a suite gives none, they are those that the
    tokenizer says it has, asked for when the suite is read.
    """

    budgets: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        if self.budgets is not None:
            require_budgets("budgets", self.budgets, at_least=1)

    @property
    def known_budgets(self) -> tuple[int, ...]:
        """The budgets; raises `ValueError` before the tokenizer was asked."""
        if self.budgets is None:
            raise ValueError("budgets: not known yet; give them")
        return self.budgets

    @property
    def max_tokens(self) -> int:
        """The largest budget."""
        return self.known_budgets[-1]


@dataclass(frozen=True, kw_only=True)
class ExternalTokenizer(ForeignTokenizer):
    """A tokenizer of someone else: what `factory(**arguments)` gives (`bench.external.protocol`).

    `factory` is `package.module:function`, `path/of/file.py:function`, or a registered name
    (`adatok-bench list factories`). Arguments that name a file or a folder count by its content.
    `python` is another interpreter to run it under.
    """

    kind: Literal["external"] = "external"
    factory: str
    arguments: dict[str, Any] = field(default_factory=dict)
    python: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.factory != "", "factory: must be module:function, or a registered name")
        require(self.python != "", "python: must be the path of an interpreter, or null")


@dataclass(frozen=True, kw_only=True)
class ExportedTokenizer(ForeignTokenizer):
    """The tokenizer of the folder `model`, which `adatok-bench export` has made."""

    kind: Literal["exported"] = "exported"
    model: str

    def place(self, folder: str) -> Path:
        """The folder; a relative path is relative to `folder`."""
        return Path(folder, os.path.expanduser(self.model))


TokenizerSettings = TokenizerConfig | ForeignTokenizer


@dataclass(frozen=True, kw_only=True)
class ForeignKind(Choice):
    """A kind of tokenizer that is not trained here; paths in settings are relative to a `folder`.

    `build(settings, folder=, device=)` makes the `Tokenizer` (`adatok_core.protocols`),
    `budgets(settings, folder=)` asks for those it is meant for, `identify(settings, folder=)` gives
    what stands for its content in stage keys. `trained(settings, folder=)` gives the lengths that
    its training drew; without it, all budgets that it is used at count as such. `placed(settings,
    folder=)` gives the settings with full paths.
    """

    budgets: str | Callable[..., tuple[int, ...]]
    identify: str | Callable[..., dict[str, Any]]
    placed: str | Callable[..., dict[str, Any]] | None = None
    trained: str | Callable[..., set[int]] | None = None


TOKENIZER_KINDS: Registry[Choice] = Registry(
    "kind of tokenizer", group="adatok_bench.tokenizer_kinds", expects=Choice
)
TOKENIZER_KINDS.add(
    ELASTIC, Choice(config=TokenizerConfig, build="adatok_core.build:build_tokenizer")
)
TOKENIZER_KINDS.add(
    "external",
    ForeignKind(
        config=ExternalTokenizer,
        build="bench.external.adapter:build_external",
        budgets="bench.external.identity:own_budgets",
        identify="bench.external.identity:identity_of",
        placed="bench.external.identity:placed_settings",
    ),
)
TOKENIZER_KINDS.add(
    "exported",
    ForeignKind(
        config=ExportedTokenizer,
        build="bench.artifacts.exported:build_exported",
        budgets="bench.artifacts.exported:exported_budgets",
        identify="bench.artifacts.exported:exported_identity",
        placed="bench.artifacts.exported:placed_settings",
        trained="bench.artifacts.exported:exported_lengths",
    ),
)

AnyTokenizer = Annotated[TokenizerSettings, OneOf(TOKENIZER_KINDS, default=ELASTIC)]

# What `factory` may name without a module; each entry is a function that makes a tokenizer.
FACTORIES: Registry[Any] = Registry("factory", group="adatok_bench.tokenizers")
FACTORIES.add(
    "titok",
    "adatok_core.published.titok:titok",
    about="TiTok (Yu et al. 2024), two-stage or single-stage VQ, from its published weights",
)
FACTORIES.add(
    "one_d_piece",
    "adatok_core.published.titok:one_d_piece",
    about="One-D-Piece (Miwa et al. 2025), nested, from its published weights",
)
FACTORIES.add(
    "llamagen",
    "adatok_core.published.llamagen:llamagen",
    about="LlamaGen's VQ tokenizer (Sun et al. 2024), a 2-D grid, from its published weights",
)


def foreign_kind(kind: str) -> ForeignKind:
    """The kind of a tokenizer that is not trained here."""
    found = TOKENIZER_KINDS[kind]
    if not isinstance(found, ForeignKind):
        raise TypeError(f"kind of tokenizer '{kind}': must be declared as a ForeignKind")
    return found
