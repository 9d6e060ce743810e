"""Plain values into the frozen configurations, with one clear line for whatever is wrong."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import json
import math
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

import pydantic
import yaml

from adatok_core.choices import OneOf
from adatok_core.config.checks import traceless
from adatok_core.registry import Registry, RegistryError
from bench.errors import UserError, suggestion

Settings = TypeVar("Settings")
_SCALARS = ("int", "float", "str", "bool")  # How pydantic calls such alternatives.


def parse(kind: type[Settings], raw: Any, *, where: str) -> Settings:
    """Check `raw` strictly against a dataclass and build it.

    Raises:
        UserError: names `where`, the key's dotted path, what is wrong, and the nearest valid key.
    """
    problem = not_plain(raw)
    if problem:
        raise UserError(f"{where}: {problem}")
    text = json.dumps(raw)
    try:
        adapter = _adapter(typing.cast(Any, kind), Registry.revision)
        settings: Settings = adapter.validate_json(text, strict=True)
    except pydantic.ValidationError as error:
        raise UserError(f"{where}: {_one_line(kind, error)}") from None
    except RegistryError as error:
        raise UserError(str(error)) from None
    unknown = _unknown_key(settings, raw, "")
    if unknown:
        raise UserError(f"{where}: {unknown}")
    return settings


def not_plain(value: Any, path: str = "") -> str | None:
    """The first value that no setting can have, by its dotted path, and what to do."""
    above = f"{path}." if path else ""
    match value:
        case dict():
            inner = (not_plain(name, path) for name in value)
            values = (not_plain(item, f"{above}{name}") for name, item in value.items())
            return next(filter(None, itertools.chain(inner, values)), None)
        case list() | tuple():
            values = (not_plain(item, f"{above}{n}") for n, item in enumerate(value))
            return next(filter(None, values), None)
        case bool() | None:
            problem = None
        case str():
            foreign = any(sign == "\0" or "\ud800" <= sign <= "\udfff" for sign in value)
            problem = f"{value!r} has signs that no file can hold; remove them" if foreign else None
        case int():
            problem = None if -(2**63) <= value < 2**63 else "give a number that fits into 64 bits"
        case float():
            problem = None if math.isfinite(value) else f"{value} is no finite number; give one"
        case _:
            problem = f"{value!r} is no plain value; give text, a number, true, false or null"
    return problem and f"{above[:-1]}: {problem}".removeprefix(": ")


@functools.cache
def _adapter(kind: Any, revision: int) -> pydantic.TypeAdapter[Any]:
    """Built once: a suite has hundreds of cells, and building takes far longer than checking.

    Once for each `revision` of the registries, so that what is registered later is known too.
    """
    return pydantic.TypeAdapter(kind)


def _unknown_key(settings: Any, raw: Any, path: str) -> str | None:
    """A key that a dataclass does not have, and does not forbid either as ours do."""
    if not dataclasses.is_dataclass(settings) or not isinstance(raw, dict):
        return None
    names = [field.name for field in dataclasses.fields(settings)]
    for key in raw:
        if key not in names:
            return f"{path}{key}: unknown key{suggestion(str(key), names)}"
    found = (_unknown_key(getattr(settings, k), v, f"{path}{k}.") for k, v in raw.items())
    return next((problem for problem in found if problem), None)


def _one_line(kind: Any, error: pydantic.ValidationError) -> str:
    item = error.errors(include_url=False)[0]
    path, owner = _locate(kind, item["loc"])
    if item["type"].startswith("union_tag_"):
        return f"{'.'.join([*path, 'kind'])}: {_explain_kind(item)}"
    return f"{'.'.join(path)}: {_explain(item, owner)}" if path else _explain(item, owner)


def _locate(kind: Any, loc: tuple[Any, ...]) -> tuple[list[str], Any]:
    """Keys on the way to an error, and the dataclass that owns the last of them.

    pydantic puts the name of a union's alternative into the location, which is no key.
    """
    path: list[str] = []
    owner: Any = None
    for step in loc:
        alternatives = _alternatives(kind)
        choices = next((one for a in alternatives for one in _choices(a)), None)
        if choices is not None:
            try:
                kind = choices.config(step)
            except RegistryError:  # A plug-in that cannot be used, which is the error itself.
                kind = None
            continue
        if len(alternatives) > 1 and isinstance(step, str) and ("[" in step or step in _SCALARS):
            kind = None
            continue
        kind = next((a for a in alternatives if dataclasses.is_dataclass(a)), alternatives[0])
        path.append(str(step))
        owner = kind if dataclasses.is_dataclass(kind) else None
        kind = _member(kind, step)
    return path, owner


def _alternatives(kind: Any) -> list[Any]:
    if typing.get_origin(kind) in (types.UnionType, typing.Union):
        return [a for a in typing.get_args(kind) if a is not type(None)]
    return [kind]


def _choices(kind: Any) -> list[OneOf]:
    """The choices that an annotation leaves open, one at most."""
    return [one for one in getattr(kind, "__metadata__", ()) if isinstance(one, OneOf)]


def _member(kind: Any, step: Any) -> Any:
    if dataclasses.is_dataclass(kind):
        return typing.get_type_hints(kind, include_extras=True).get(step)
    arguments = typing.get_args(kind)
    return arguments[0] if isinstance(step, int) and arguments else None


def _explain_kind(item: Mapping[str, Any]) -> str:
    """An alternative that is not named, or by a name that there is not."""
    given = item["input"].get("kind")
    if given is None:
        return "missing; say which kind is meant"
    expected = item["ctx"]["expected_tags"].split(", ")
    near = suggestion(str(given), [name.strip("'") for name in expected])
    hint = near if "did you mean" in near else ""
    return f"input should be {' or '.join(expected)}, not {given!r}{hint}"


def _explain(item: Mapping[str, Any], owner: Any) -> str:
    match item["type"]:
        case "unexpected_keyword_argument" | "extra_forbidden":
            names = [field.name for field in dataclasses.fields(owner)] if owner else []
            return "unknown key" + suggestion(str(item["loc"][-1]), names)
        case "missing_argument" | "missing_keyword_only_argument" | "missing":
            return "missing; this key has no default"
        case "value_error":
            return str(item["msg"]).removeprefix("Value error, ")
    message = item["msg"][0].lower() + item["msg"][1:]
    given = item["input"]
    hint = ""
    if isinstance(given, str) and _is_number(given):
        bare = isinstance(yaml.safe_load(given), str)  # as 1e-3 is, but not a number in quotes
        hint = f"; YAML reads this as text: {'write it like 1.0e-3' if bare else 'drop the quotes'}"
    return f"{message}, not {given!r}{hint}"


def plain(value: Any) -> Any:
    """Settings as JSON-able values: dataclasses as mappings, tuples as lists.

    Settings that came later leave no trace at their defaults: keys stay what they were.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        named = (one for one in dataclasses.fields(value) if not traceless(value, one))
        return {one.name: plain(getattr(value, one.name)) for one in named}
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
