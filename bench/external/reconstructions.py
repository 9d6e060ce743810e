"""A folder of reconstructions that were made elsewhere, and a table of their token ids.

Reconstructions are `<budget>/<id>.png`, or lossless `.webp`: what a lossy file holds is no longer
what was reconstructed. `bench.external.inventory` says which of them is of which image.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bench.config.tokenizers import Reconstructions
from bench.data.formats import HEADER_BYTES, format_of
from bench.data.image_folder import WHOLE
from bench.data.manifest import build_manifest
from bench.errors import UserError
from bench.external.identity import sha256_of_file
from bench.external.webp import webp_kind
from bench.files import open_regular

BUDGET = re.compile(r"[1-9][0-9]*")

Progress = Callable[[int, int], None]


def folder_of(settings: Reconstructions, *, folder: str) -> str:
    """The absolute path of the folder; relative paths are relative to `folder`.

    Raises:
        UserError: there is no such folder, or it lacks one of the budgets that the settings name.
    """
    root = Path(folder, os.path.expanduser(settings.path))
    if not root.is_dir():
        raise UserError(f"tokenizer.path: {root}: does not exist or is no folder; correct it")
    for budget in settings.budgets or ():
        if not (root / str(budget)).is_dir():
            there = ", ".join(map(str, _budgets(root))) or "none"
            raise UserError(
                f"tokenizer.budgets: {root} has no sub-folder {budget}; there are: {there}"
            )
    return str(root)


def own_budgets(settings: Reconstructions, *, folder: str) -> tuple[int, ...]:
    """Budgets by the numeric sub-folders.

    Raises:
        UserError: there are none.
    """
    root = Path(folder_of(settings, folder=folder))
    budgets = _budgets(root)
    if not budgets:
        raise UserError(
            f"tokenizer.path: {root}: no sub-folder is called by a number of tokens; name them so, "
            "as in 16/<id>.png"
        )
    return tuple(budgets)


def identity_of(settings: Reconstructions, *, folder: str) -> dict[str, Any]:
    """Identity of the token ids for a stage's key; that of the images is their tree's.

    Raises:
        UserError: there are token ids, and the file is no such table.
    """
    if settings.tokens is None:
        return {"tokens": None}
    path = Path(folder, os.path.expanduser(settings.tokens))
    _require_columns(path)
    return {"tokens": sha256_of_file(str(path))}


def refuse_to_build(settings: Reconstructions, *, folder: str, device: str = "cpu") -> NoReturn:
    """There is no tokenizer to be made of reconstructions.

    Raises:
        UserError: says so.
    """
    raise UserError(
        f"tokenizer.path: {settings.path}: reconstructions that were made elsewhere can neither "
        "encode nor decode; name a tokenizer of kind external for that"
    )


def look_through(
    root: Path, *, resolution: int, progress: Progress | None = None
) -> tuple[pd.DataFrame, str]:
    """Hash and decode every image in the sub-folders of budgets, and the tree's fingerprint.

    The table has a row per file: `budget`, `name` (relative to that folder, without suffix),
    `path`, `file_sha256`, and the `problem` by which it cannot be used, else empty.

    Raises:
        UserError: a file cannot be opened.
    """
    manifest = build_manifest(root, WHOLE, progress=progress)
    rows = [
        (path, sha256, _problem(root / path, size, resolution))
        for path, sha256, *size in zip(
            *(manifest.files[key] for key in ("path", "file_sha256", "width", "height")),
            strict=True,
        )
    ]
    rows += [(one.path, "", f"cannot be read ({one.reason})") for one in manifest.unreadable]
    kept = []
    for path, sha256, problem in sorted(rows):
        budget, _, name = path.partition("/")
        if BUDGET.fullmatch(budget) and name:
            kept.append((int(budget), os.path.splitext(name)[0], path, sha256, problem))
    columns = ["budget", "name", "path", "file_sha256", "problem"]
    return pd.DataFrame(kept, columns=columns), manifest.fingerprint


def read_tokens(settings: Reconstructions, *, folder: str) -> pd.DataFrame | None:
    """Token ids: a row per image with its `id` and `ids`, all as many as the largest budget.

    Raises:
        UserError: a row has more or fewer, or one that is outside the codebook.
    """
    if settings.tokens is None:
        return None
    path = Path(folder, os.path.expanduser(settings.tokens))
    _require_columns(path)
    table = pq.read_table(path, columns=["id", "ids"]).combine_chunks()
    names, lists = table["id"].to_pylist(), table["ids"].combine_chunks()
    _require_lengths(path, names, lists, settings.max_tokens)
    ids = lists.flatten().to_numpy(zero_copy_only=False).reshape(len(names), settings.max_tokens)
    codes = settings.codes
    assert codes is not None, "checked with the settings"
    outside = np.flatnonzero(((ids < 0) | (ids >= codes)).any(1))
    if len(outside):
        raise UserError(
            f"tokenizer.tokens: {path}: {len(outside)} of {len(names)} rows have ids outside "
            f"0..{codes - 1}, as that of {names[outside[0]]}; correct them or codebook_size"
        )
    return pd.DataFrame({"id": names, "ids": list(ids.astype(np.int64))})


def _require_columns(path: Path) -> None:
    try:
        schema = pq.read_schema(path)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "is no Parquet file"
        raise UserError(f"tokenizer.tokens: {path}: {reason}; give a Parquet file") from None
    fits = "id" in schema.names and _is_text(schema.field("id").type)
    listed = schema.field("ids").type if "ids" in schema.names else pa.null()
    if not fits or not _is_list(listed) or not pa.types.is_integer(listed.value_type):
        raise UserError(
            f"tokenizer.tokens: {path}: needs the columns id (text) and ids (lists of integers)"
        )


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    texts = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    return any(one(kind) for one in texts)


def _is_list(kind: pa.DataType) -> bool:
    lists = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    return any(one(kind) for one in lists)


def _require_lengths(path: Path, names: list[Any], lists: Any, length: int) -> None:
    lengths = pc.list_value_length(lists).to_pylist()
    wrong = [row for row, found in enumerate(lengths) if found != length]
    if not names or wrong:
        first = f", as that of {names[wrong[0]]} with {lengths[wrong[0]]}" if wrong else ""
        raise UserError(
            f"tokenizer.tokens: {path}: {len(wrong)} of {len(names)} rows have not the {length} "
            f"ids of the largest budget{first}; write those of every image"
        )
    if lists.flatten().null_count or None in names:
        raise UserError(f"tokenizer.tokens: {path}: some cells are null; write all of them")
    twice = [name for name, rows in Counter(names).items() if rows > 1]
    if twice:
        raise UserError(f"tokenizer.tokens: {path}: {twice[0]} has several rows; keep one")


def _budgets(root: Path) -> list[int]:
    names = [entry.name for entry in root.iterdir() if entry.is_dir()]
    return sorted(int(name) for name in names if BUDGET.fullmatch(name))


def _problem(path: Path, size: list[int], resolution: int) -> str:
    with open_regular(path) as opened:
        found = format_of(opened.read(HEADER_BYTES))
        if found == "WEBP":
            opened.seek(0)
            kind = webp_kind(opened)
            if kind != "lossless":
                return f"are {kind} WebP"
        elif found != "PNG":
            return f"are {found}"
    if size != [resolution, resolution]:
        return f"are {size[0]} x {size[1]} px instead of {resolution} x {resolution}"
    return ""
