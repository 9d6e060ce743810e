"""Tokenizers that a suite may name: ours, trained from its settings, and those of others."""

from __future__ import annotations

import math
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


@dataclass(frozen=True, kw_only=True)
class Reconstructions(ForeignTokenizer):
    """Images that a tokenizer made elsewhere: `<budget>/<id>.png`, or lossless `.webp`, in `path`.

    The `<id>` is the image's in its image set. `tokens` is a Parquet file of token ids: a row per
    image with its `id` and `ids`, a list of those of its largest budget. `nested` says whether
    those of a smaller budget are the first of them, where that is known. Bits are known with
    `codebook_size` or `bits_per_token`.
    """

    kind: Literal["reconstructions"] = "reconstructions"
    path: str
    tokens: str | None = None
    codebook_size: int | None = None
    bits_per_token: float | None = None
    nested: bool | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.path != "", "path: must be the path of a folder")
        require(self.tokens != "", "tokens: must be the path of a Parquet file, or null")
        require_codebook(self.codebook_size, self.bits_per_token)
        require(
            self.tokens is None or self.codes is not None,
            "codebook_size: missing, and tokens are of a codebook; give it, or bits_per_token",
        )

    @property
    def codes(self) -> int | None:
        """`V`, the number of codes, where it is known."""
        if self.codebook_size is not None:
            return self.codebook_size
        return None if self.bits_per_token is None else round(2**self.bits_per_token)


def require_codebook(codebook_size: int | None, bits_per_token: float | None) -> None:
    """Refuse a size of a codebook, or bits of its ids, that cannot be; both may be unknown.

    Raises:
        ValueError: names the key.
    """
    require(
        codebook_size is None or 2 <= codebook_size <= 2**62,
        "codebook_size: must lie in 2..2^62",
    )
    require(
        bits_per_token is None or 0 < bits_per_token <= 62,
        "bits_per_token: must lie in (0, 62]",
    )
    require(
        None in (codebook_size, bits_per_token)
        or math.isclose(2 ** (bits_per_token or 0), codebook_size or 0, rel_tol=1e-6),
        f"bits_per_token: {bits_per_token} are not those of {codebook_size} codes",
    )


TokenizerSettings = TokenizerConfig | ForeignTokenizer


@dataclass(frozen=True, kw_only=True)
class ForeignKind(Choice):
    """A kind of tokenizer that is not trained here; paths in settings are relative to a `folder`.

    `build(settings, folder=, device=)` makes the `Tokenizer` (`adatok_core.protocols`),
    `budgets(settings, folder=)` asks for those it is meant for, `identify(settings, folder=)` gives
    what stands for its content in stage keys. `trained(settings, folder=)` gives the lengths that
    its training drew; without it, all budgets that it is used at count as such. `placed(settings,
    folder=)` gives the settings with full paths. Where it has `images`, `images(settings, folder=)`
    is a folder of image files that count by their content too. `stage` is the one that looks at it.
    """

    budgets: str | Callable[..., tuple[int, ...]]
    identify: str | Callable[..., dict[str, Any]]
    placed: str | Callable[..., dict[str, Any]] | None = None
    trained: str | Callable[..., set[int]] | None = None
    images: str | Callable[..., str] | None = None
    stage: str = "external"


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
TOKENIZER_KINDS.add(
    "reconstructions",
    ForeignKind(
        config=Reconstructions,
        build="bench.external.reconstructions:refuse_to_build",
        budgets="bench.external.reconstructions:own_budgets",
        identify="bench.external.reconstructions:identity_of",
        images="bench.external.reconstructions:folder_of",
        stage="reconstructions",
    ),
)

AnyTokenizer = Annotated[TokenizerSettings, OneOf(TOKENIZER_KINDS, default=ELASTIC)]

# What `factory` may name without a module: `module:function` of what makes a tokenizer.
FACTORIES: Registry[str] = Registry("factory", group="adatok_bench.tokenizers", expects=str)
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
