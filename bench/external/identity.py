"""What a suite's external tokenizer is: where it comes from, and what names it in stage keys."""

from __future__ import annotations

import functools
import hashlib
import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from adatok_core.registry import RegistryError
from bench.config.tokenizers import FACTORIES, ExternalTokenizer
from bench.errors import UserError
from bench.external.guest import MissingFileError, Origin, invite, source_of
from bench.files import canonical_json, file_sha256


def origin_of(settings: ExternalTokenizer, *, folder: str) -> Origin:
    """The tokenizer's origin; relative paths are relative to `folder`.

    Raises:
        UserError: the factory is no registered name.
    """
    arguments = {name: _placed(value, folder) for name, value in settings.arguments.items()}
    python = None if settings.python is None else os.path.expanduser(settings.python)
    return Origin(
        factory=_module_of(settings.factory), arguments=arguments, python=python, folder=folder
    )


def identity_of(settings: ExternalTokenizer, *, folder: str) -> dict[str, Any]:
    """Identity for a stage's key: factory, its code, and arguments, those of files by content.

    Raises:
        UserError: the factory cannot be found.
    """
    origin = origin_of(settings, folder=folder)
    return {
        "factory": settings.factory,
        "code": code_of(origin),
        "arguments": {name: _content(value) for name, value in origin.arguments.items()},
    }


def placed_settings(settings: ExternalTokenizer, *, folder: str) -> dict[str, Any]:
    """The settings with full paths; a module that lies in `folder` is looked for there no more."""
    origin = origin_of(settings, folder=folder)
    place, colon, function = settings.factory.rpartition(":")
    factory = settings.factory
    if place.endswith(".py"):
        factory = f"{Path(folder, place)}{colon}{function}"
    return {**asdict(settings), "factory": factory, "arguments": origin.arguments}


def own_budgets(settings: ExternalTokenizer, *, folder: str) -> tuple[int, ...]:
    """Budgets that the tokenizer describes, for which it is made once in this process.

    Raises:
        UserError: as `bench.external.guest.invite`; or a file is missing.
    """
    origin = origin_of(settings, folder=folder)
    return _meant_for(canonical_json(asdict(origin)), canonical_json(code_of(origin)))


@functools.cache
def _meant_for(origin: str, code: str) -> tuple[int, ...]:
    try:
        return invite(Origin(**json.loads(origin))).description.meant_for
    except MissingFileError as error:
        raise UserError(f"{error}; give tokenizer.budgets to go on without it") from None


def code_of(origin: Origin) -> dict[str, str]:
    """Identity of a factory's code: of a module of this process, of when it was first looked at.

    Raises:
        UserError: it cannot be found.
    """
    if origin.python is not None or origin.factory.rpartition(":")[0].endswith(".py"):
        return source_of(origin)
    return _source(origin.factory, origin.folder)


@functools.cache
def _source(factory: str, folder: str) -> dict[str, str]:
    return source_of(Origin(factory=factory, arguments={}, python=None, folder=folder))


def _module_of(factory: str) -> str:
    """The module and function of a registered name, or what was given."""
    if ":" in factory:
        return factory
    try:
        target = FACTORIES.entry(factory).target
    except RegistryError as error:
        hint = "; give module:function, or a name of adatok-bench list factories"
        raise UserError(f"tokenizer.factory: {error}{hint}") from None
    return target if isinstance(target, str) else f"{target.__module__}:{target.__qualname__}"


def _placed(value: Any, folder: str) -> Any:
    """The absolute path of what an argument names, if it names a file or a folder."""
    if isinstance(value, dict):
        return {name: _placed(one, folder) for name, one in value.items()}
    if isinstance(value, list):
        return [_placed(one, folder) for one in value]
    if not isinstance(value, str) or "\0" in value or len(value) > 4096:
        return value
    path = Path(folder, os.path.expanduser(value))
    named = "/" in value or value.startswith("~")
    try:
        there = path.is_file() or (named and path.is_dir())
    except OSError:
        return value
    return str(path) if there or value.startswith("~") else value


def _content(value: Any) -> Any:
    """An argument as it counts: a file or a folder by its content."""
    if isinstance(value, dict):
        return {name: _content(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_content(one) for one in value]
    if isinstance(value, str) and value.startswith("/"):
        path = Path(value)
        if path.is_file():
            return {"sha256": sha256_of_file(value)}
        if path.is_dir():
            return {"sha256": _of_folder(path)}
    return value


def sha256_of_file(path: str) -> str:
    """SHA-256 of a file, computed once as long as its size and time stay."""
    try:
        stat = os.stat(path)
        return _hashed(path, stat.st_size, stat.st_mtime_ns)
    except OSError as error:
        raise UserError(f"tokenizer.arguments: cannot read {path}: {error.strerror}") from None


@functools.cache
def _hashed(path: str, size: int, changed: int) -> str:
    return file_sha256(path)


def _of_folder(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(one for one in folder.rglob("*") if one.is_file()):
        name = path.relative_to(folder).as_posix()
        digest.update(f"{name}\0{sha256_of_file(str(path))}\n".encode())
    return digest.hexdigest()
