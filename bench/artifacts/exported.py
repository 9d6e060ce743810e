"""Exported models: folders that `adatok-bench export` has made, and using one as a tokenizer."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from adatok_core.protocols import Tokenizer
from bench.artifacts.bank import TOKENIZER_WEIGHTS
from bench.artifacts.foreign import SETTINGS, ForeignSettings
from bench.artifacts.networks import load_elastic, read_trained_lengths
from bench.artifacts.weights import checked, require_described
from bench.config.tokenizers import ExportedTokenizer
from bench.errors import UserError
from bench.files import file_sha256, open_regular

CHECKSUMS = "SHA256SUMS"
MOST_SUMS = 100_000  # bytes


def build_exported(settings: ExportedTokenizer, *, folder: str, device: str = "cpu") -> Tokenizer:
    """Make the tokenizer of an exported model.

    Raises:
        UserError: it is none, or not as it was exported.
    """
    place = settings.place(folder)
    check_sums(place)
    return load_exported(place, budgets=settings.budgets, device=device)


def load_exported(
    folder: Path, *, budgets: tuple[int, ...] | None = None, device: str = "cpu"
) -> Tokenizer:
    """Make the tokenizer in a folder whose sums are checked, to be used at `budgets`.

    Raises:
        UserError: as `build_exported`; or it has not these budgets.
    """
    if not (folder / TOKENIZER_WEIGHTS).is_file():
        settings = _read_settings(folder)
        settings.require_unchanged()
        return settings.at(budgets).load(device=device)
    require_described(folder / TOKENIZER_WEIGHTS)
    tokenizer = checked(folder, lambda: load_elastic(folder, device=device))
    for budget in budgets or ():
        known = range(1, tokenizer.max_tokens + 1) if tokenizer.nested else tokenizer.budgets
        if budget not in known:
            raise UserError(
                f"{folder}: budgets: {budget} is not among those it has: "
                f"{f'1..{tokenizer.max_tokens}' if tokenizer.nested else list(known)}"
            )
    tokenizer.budgets = budgets or tokenizer.budgets
    return tokenizer


def _read_settings(folder: Path) -> ForeignSettings:
    return checked(folder / SETTINGS, lambda: ForeignSettings.read(folder))


def exported_budgets(settings: ExportedTokenizer, *, folder: str) -> tuple[int, ...]:
    """Budgets that it was trained for; see `build_exported`."""
    return tuple(build_exported(settings, folder=folder).budgets)


def exported_identity(settings: ExportedTokenizer, *, folder: str) -> dict[str, Any]:
    """Identity for a stage's key: its weights, wherever they lie."""
    return {"tokenizer_sha256": tokenizer_identity(settings.place(folder))}


def placed_settings(settings: ExportedTokenizer, *, folder: str) -> dict[str, Any]:
    """The settings with the full path of the folder."""
    return {**asdict(settings), "model": str(settings.place(folder))}


def exported_lengths(settings: ExportedTokenizer, *, folder: str) -> set[int]:
    """Numbers of tokens that its training drew."""
    return read_trained_lengths(settings.place(folder))


def tokenizer_identity(folder: Path) -> str:
    """SHA-256 of an exported tokenizer's weights, or of what stands for someone else's."""
    sums = check_sums(folder)
    if TOKENIZER_WEIGHTS in sums:
        return sums[TOKENIZER_WEIGHTS]
    return _read_settings(folder).sha256


def check_sums(folder: Path) -> dict[str, str]:
    """The SHA-256 of every file of an exported folder, checked.

    Raises:
        UserError: it is no exported folder, or a file is missing or changed.
    """
    try:
        with open_regular(folder / CHECKSUMS) as file:
            lines = file.read(MOST_SUMS).decode().splitlines()
        sums = {name: sha for sha, name in (line.split("  ", 1) for line in lines)}
        if not {TOKENIZER_WEIGHTS, SETTINGS} & set(sums) or any(
            Path(name).name != name for name in sums
        ):
            raise ValueError
    except (OSError, ValueError):
        raise UserError(
            f"{folder}: is no exported model; make one with: adatok-bench export CELL --out"
        ) from None
    for name, sha256 in sums.items():
        try:
            same = file_sha256(folder / name) == sha256
        except (OSError, ValueError):  # ValueError: a NUL in the name.
            same = False
        if not same:
            raise UserError(
                f"{folder / name}: is not the file that was exported; export the cell again"
            )
    return sums
