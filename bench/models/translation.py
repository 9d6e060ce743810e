"""Folders of images to files of tokens, and back."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from bench.data.decoding import Decoded, square
from bench.data.image_folder import all_images, told_foreign, told_ignored
from bench.data.manifest import UnreadableFile, decoded_or_reason
from bench.data.selection import Selectable, chosen, read_ids, require_known
from bench.data.walk import cannot_open
from bench.errors import UserError
from bench.files import open_regular, sha256_of, written_aside
from bench.models.exported_model import ExportedModel
from bench.models.token_files import Row, TokenFile, new_token_file, png_names, require_decodable

Progress = Callable[[int], None]
ALL = Selectable()


@dataclass(frozen=True)
class Encoded:
    """A folder's images by token budget, and what was left out of it.

    unreadable: images that could not be decoded.
    metadata_damaged: how many images were read without their metadata.
    told: lines on files that look like images and are not read, and on what is ignored.
    """

    budgets: Counter[int]
    unreadable: tuple[UnreadableFile, ...]
    metadata_damaged: int = 0
    told: tuple[str, ...] = ()


def encode_folder(
    root: Path,
    model: ExportedModel,
    out: Path,
    *,
    budget: int | None = None,
    batch: int = 64,
    max_unreadable: float = 0.01,
    part: Selectable = ALL,
    started: Callable[[int], Progress] = lambda total: lambda done: None,
) -> Encoded:
    """Encode every image below `root` into the file `out`, `batch` images at a time.

    Pixels are made as the data stage makes them. `part` is what to take of the images, by path.
    `started(total)` gives what is told of each file.

    Raises:
        UserError: there is something at `out`; the folder has no images, or a larger share of
            unreadable ones than `max_unreadable`; a file cannot be opened; two images would have
            the same name when they are decoded; `part` names an image that is not there.
    """
    walk = all_images(root)
    part, paths = _taken(part, walk.paths)
    require_decodable(paths)
    metadata_damaged = 0
    budgets: Counter[int] = Counter()
    unreadable: list[UnreadableFile] = []
    with new_token_file(out, model.source(budget)) as writer:
        progress = started(len(paths))
        for first in range(0, len(paths), batch):
            rows: list[tuple[str, str, str]] = []
            pixels: list[np.ndarray] = []
            for path in paths[first : first + batch]:
                found, content = _read(root, path)
                if isinstance(found, str):
                    unreadable.append(UnreadableFile(path, found))
                else:
                    metadata_damaged += found.metadata_damaged
                    image = square(found.image, resolution=model.tokenizer.image_size)
                    sha256 = hashlib.sha256(image.tobytes()).hexdigest()
                    rows.append((path, sha256, content))
                    pixels.append(image)
                progress(1)
            _check_unreadable(unreadable, len(paths), root, max_unreadable)
            if rows:
                tokens = model.encode(np.stack(pixels), budget)
                budgets.update(map(len, tokens))
                writer.write(
                    [Row(*row, ids.tolist()) for row, ids in zip(rows, tokens, strict=True)]
                )
        writer.close(unreadable, part.selection)
    told = (*told_foreign(walk.foreign), *told_ignored(walk.ignored))
    return Encoded(budgets, tuple(unreadable), metadata_damaged, told)


def _taken(part: Selectable, paths: list[str]) -> tuple[Selectable, list[str]]:
    """The part with the hash of its list, and its paths."""
    listed = None
    if part.ids is not None:
        ids, listed = read_ids(part.ids, key="--ids")
        require_known(listed, paths, key="--ids")
        part = replace(part, ids=ids)
    rows = chosen(paths, limit=part.limit, listed=listed)
    return part, [paths[row] for row in rows]


def _read(root: Path, path: str) -> tuple[Decoded | str, str]:
    """The image in a file, or why it cannot be decoded, and the SHA-256 of its content."""
    try:
        file = open_regular(root / path)
    except OSError as error:
        raise cannot_open(root / path, error.strerror) from error
    with file:
        sha256 = sha256_of(file)
        file.seek(0)
        return decoded_or_reason(file), sha256


def _check_unreadable(
    unreadable: Sequence[UnreadableFile], total: int, root: Path, max_unreadable: float
) -> None:
    if len(unreadable) < total and len(unreadable) <= max_unreadable * total:
        return
    first = "; ".join(f"{file.path} ({file.reason})" for file in unreadable[:3])
    raise UserError(
        f"image folder {root}: {len(unreadable)} or more of {total} images are unreadable, more "
        f"than --max-unreadable {max_unreadable:g} allows: {first}; repair or remove them"
    )


def decode_file(
    tokens: Path,
    model: ExportedModel,
    out: Path,
    *,
    batch: int = 64,
    started: Callable[[int], Progress] = lambda total: lambda done: None,
) -> int:
    """Write the images of a file of tokens as PNG below the folder `out`; how many there are.

    Raises:
        UserError: the tokens are of another model or out of range, or `out` is there already.
    """
    file = TokenFile.open(tokens)
    model.require_source(file.source, tokens)
    if out.exists() or out.is_symlink():
        raise UserError(f"--out {out}: is there already; name a new folder")
    file.check()
    names = png_names([row.path for row in file.rows()])
    progress = started(file.count)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with written_aside(out) as aside:
            aside.mkdir()
            named = ((name, row.tokens) for name, row in zip(names, file.rows(), strict=True))
            for name, pixels in model.decode(named, batch=batch):
                target = aside / name
                target.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels.transpose(1, 2, 0)).save(target, format="PNG")
                progress(1)
    except OSError as error:
        raise UserError(f"cannot write {out}: {error.strerror}; give another --out") from error
    return file.count
