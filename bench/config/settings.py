"""Reading YAML into the frozen configurations, with one clear line for whatever is wrong."""

from __future__ import annotations

import dataclasses
import functools
import json
import types
import typing
from pathlib import Path
from typing import Any, TypeVar

import pydantic
import yaml

from bench.errors import UserError, suggestion

Settings = TypeVar("Settings")

_MERGE = "tag:yaml.org,2002:merge"


class _UniqueKeyLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
    """`safe_load` that refuses a key given twice instead of keeping the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(
                    None, None, "a key must be plain text", key_node.start_mark
                )
            if key_node.tag == _MERGE:  # `<<: *anchor`; own keys take precedence
                continue
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"key '{key}' is given twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file.

    Raises:
        UserError: no such file, not YAML, a duplicated key, or not a mapping.
    """
    try:
        content = yaml.load(path.read_text("utf-8"), Loader=_UniqueKeyLoader)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; give the path of a suite's YAML file") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise UserError(f"{path}: expected keys and values, as in experiments/quickstart.yaml")
    return content


def parse(kind: type[Settings], raw: Any, *, where: str) -> Settings:
    """Check `raw` strictly against a dataclass and build it.

    Raises:
        UserError: names `where`, the key's dotted path, what is wrong, and the nearest valid key.
    """
    try:
        text = json.dumps(raw, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise UserError(f"{where}: {error}; use plain YAML values and finite numbers") from None
    try:
        settings = _adapter(kind).validate_json(text, strict=True)
    except pydantic.ValidationError as error:
        raise UserError(f"{where}: {_one_line(kind, raw, error)}") from None
    problem = _problem(settings, raw, "")
    if problem:
        raise UserError(f"{where}: {problem}")
    return settings


@functools.cache
def _adapter(kind: type) -> pydantic.TypeAdapter:
    """Built once: a suite has hundreds of cells, and building takes far longer than checking."""
    return pydantic.TypeAdapter(kind)


def _problem(settings: Any, raw: Any, path: str) -> str | None:
    """A key that a dataclass does not have and does not forbid either, or a mapping that leaves
    its `kind` to a default: alternatives must be named."""
    if not dataclasses.is_dataclass(settings) or not isinstance(raw, dict):
        return None
    names = [field.name for field in dataclasses.fields(settings)]
    if "kind" in names and "kind" not in raw:
        return f"{path}kind: missing; say which kind is meant"
    for key in raw:
        if key not in names:
            return f"{path}{key}: unknown key{suggestion(key, names)}"
    found = (_problem(getattr(settings, k), v, f"{path}{k}.") for k, v in raw.items())
    return next((path for path in found if path), None)


def _one_line(kind: type, raw: Any, error: pydantic.ValidationError) -> str:
    """The first error that belongs to the alternative which `raw` names by its `kind`."""
    located = [(*_locate(kind, raw, e["loc"]), e) for e in error.errors(include_url=False)]
    path, owner, _, item = next((one for one in located if one[2]), located[0])
    if item["type"] == "literal_error" and item["loc"][-1] == "kind":  # no alternative is meant
        valid = " or ".join(e["ctx"]["expected"] for at, _, _, e in located if at == path)
        return f"{path}: input should be {valid}, not {item['input']!r}"
    return f"{path}: {_explain(item, owner)}" if path else _explain(item, owner)


def _locate(kind: Any, raw: Any, loc: tuple[Any, ...]) -> tuple[str, type | None, bool]:
    """Dotted path of an error, the dataclass that owns its last key, and whether it is meant.

    pydantic puts the name of a union's alternative into the location; it is meant when its `kind`
    is the one that the value gives.
    """
    path, owner, meant = [], None, True
    for step in loc:
        alternatives = _alternatives(kind)
        if isinstance(step, str) and len(alternatives) > 1:
            chosen = [a for a in alternatives if getattr(a, "__name__", str(a)) == step]
            if chosen or "[" in step:
                kind = chosen[0] if chosen else None
                meant = meant and _is_meant(kind, raw)
                continue
        kind = next((a for a in alternatives if dataclasses.is_dataclass(a)), alternatives[0])
        path.append(str(step))
        owner = kind if dataclasses.is_dataclass(kind) else None
        kind = _member(kind, step)
        if isinstance(raw, dict):
            raw = raw.get(step)
        elif isinstance(raw, list) and isinstance(step, int) and step < len(raw):
            raw = raw[step]
    return ".".join(path), owner, meant


def _alternatives(kind: Any) -> list[Any]:
    if typing.get_origin(kind) in (types.UnionType, typing.Union):
        return [a for a in typing.get_args(kind) if a is not type(None)]
    return [kind]


def _is_meant(kind: Any, raw: Any) -> bool:
    if not dataclasses.is_dataclass(kind) or not isinstance(raw, dict):
        return not dataclasses.is_dataclass(kind) and not isinstance(raw, dict)
    default = next((f.default for f in dataclasses.fields(kind) if f.name == "kind"), None)
    return "kind" not in raw or raw["kind"] == default


def _member(kind: Any, step: Any) -> Any:
    if dataclasses.is_dataclass(kind):
        return typing.get_type_hints(kind).get(step)
    arguments = typing.get_args(kind)
    return arguments[0] if isinstance(step, int) and arguments else None


def _explain(item: dict[str, Any], owner: type | None) -> str:
    match item["type"]:
        case "unexpected_keyword_argument" | "extra_forbidden":
            names = [field.name for field in dataclasses.fields(owner)] if owner else []
            return "unknown key" + suggestion(str(item["loc"][-1]), names)
        case "missing_argument" | "missing_keyword_only_argument" | "missing":
            return "missing; this key has no default"
        case "value_error":
            return item["msg"].removeprefix("Value error, ")
    message = item["msg"][0].lower() + item["msg"][1:]
    given = item["input"]
    hint = ""
    if isinstance(given, str) and _is_number(given):
        bare = isinstance(yaml.safe_load(given), str)  # as 1e-3 is, but not a number in quotes
        hint = f"; YAML reads this as text: {'write it like 1.0e-3' if bare else 'drop the quotes'}"
    return f"{message}, not {given!r}{hint}"


def plain(value: Any) -> Any:
    """Settings as JSON-able values: dataclasses as mappings, tuples as lists."""
    if dataclasses.is_dataclass(value):
        return plain(dataclasses.asdict(value))
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
