"""YAML that people hand us: read within limits into plain values; errors name their key.

Dates, binary data, sets and other tags are no settings. Sizes are checked before anything is built.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import yaml

from bench.errors import UserError
from bench.files import open_regular

MOST_BYTES = 1_000_000
MOST_VALUES = 100_000  # with aliases written out
MOST_NESTED = 64

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_PREFIX = "tag:yaml.org,2002:"
_PLAIN = {f"{_PREFIX}{name}" for name in ("map", "seq", "str", "int", "float", "bool", "null")}
_KEYS = {f"{_PREFIX}str", f"{_PREFIX}int"}
_NUMBERS = {f"{_PREFIX}int", f"{_PREFIX}float"}
_MERGE = f"{_PREFIX}merge"


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file of UTF-8.

    Raises:
        UserError: no such file, too large, not YAML, a key given twice, a value that is none of
            text, number, truth, null, list and mapping; or not a mapping.
    """
    try:
        with open_regular(path.expanduser()) as file:
            content = file.read(MOST_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path.
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"{path}: {reason}; give the path of a suite's YAML file") from None
    except RuntimeError:
        raise UserError(f"{path}: there is no such home folder; give the whole path") from None
    if len(content) > MOST_BYTES:
        raise UserError(f"{path}: larger than {MOST_BYTES} bytes, which no suite is; give another")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 text ({error}); save it as UTF-8") from None
    values = plain_yaml(text, where=str(path))
    if not isinstance(values, dict):
        raise UserError(f"{path}: expected keys and values, as in experiments/quickstart.yaml")
    return values


def plain_yaml(text: str, *, where: str) -> Any:
    """The values of a YAML text; aliases are written out, so that nothing is shared.

    Raises:
        UserError: as `read_yaml`, naming `where`.
    """
    try:
        problem = _too_much(text)
        if problem:
            raise UserError(f"{where}: {problem}")
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            return None if node is None else _Reader(loader, where).value(node)
        finally:
            loader.dispose()
    except (yaml.YAMLError, ValueError) as error:
        raise UserError(f"{where}: not valid YAML: {_told(error)}") from None


def _told(error: Exception) -> str:
    return " ".join(str(error).split()).replace('in "<unicode string>", line', "at line")


def _too_much(text: str) -> str | None:
    """Why a text is refused before it is built; an alias counts as all that it stands for."""
    # Of each collection that is open: its anchor, the values in it, and how deep they are nested.
    above: list[tuple[str | None, int, int]] = [(None, 0, 0)]
    known: dict[str | None, tuple[int, int]] = {}
    key, at_top = (
        "",
        0,
    )  # the last key of the whole file's mapping, and how many nodes it has so far
    for event in yaml.parse(text, Loader=_Loader):
        if len(above) == 2 and isinstance(event, yaml.NodeEvent):
            at_top += 1
            if at_top % 2 and isinstance(event, yaml.ScalarEvent):
                key = f"{event.value}: "
        match event:
            case yaml.CollectionStartEvent():
                above.append((event.anchor, 1, 0))
                values = height = 0
            case yaml.CollectionEndEvent():
                anchor, values, height = above.pop()
                known[anchor] = values, height
            case yaml.AliasEvent():
                if event.anchor in [name for name, *_ in above]:
                    return f"{key}*{event.anchor} stands inside of what it repeats; write it out"
                values, height = known.get(event.anchor, (1, 0))
            case yaml.ScalarEvent():
                values, height = known[event.anchor] = 1, 0
            case _:
                continue
        name, inside, highest = above[-1]
        above[-1] = name, inside + values, max(highest, height + 1)
        if len(above) + height > MOST_NESTED:
            return f"{key}nested deeper than {MOST_NESTED}, which no setting is"
        if sum(inside for _, inside, _ in above) > MOST_VALUES:
            return f"{key}more than {MOST_VALUES} values, counting aliases in full; list fewer"
    return None


@dataclass(frozen=True)
class _Reader:
    """Makes plain values of nodes; `path` is the keys above one."""

    loader: Any
    where: str

    def value(self, node: yaml.Node, *path: str) -> Any:
        """A node of any kind."""
        if node.tag not in _PLAIN:
            kind = node.tag.removeprefix(_PREFIX)
            self.refuse(f"YAML reads this as '{kind}'; put text in quotes, or remove the tag", path)
        if isinstance(node, yaml.MappingNode):
            return self.mapping(node, *path)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, *path, str(n)) for n, item in enumerate(node.value)]
        return self.scalar(node, *path)

    def scalar(self, node: yaml.Node, *path: str) -> Any:
        """Text, a number, a truth or null."""
        text = node.value
        try:
            value = self.loader.construct_object(node)
        except (ValueError, KeyError, IndexError, OverflowError, yaml.YAMLError):
            self.refuse(f"{text!r} cannot be read as '{node.tag.removeprefix(_PREFIX)}'", path)
        digits = text.lstrip("+-")
        octal = isinstance(value, int) and len(digits) > 1 and digits.isdigit() and digits[0] == "0"
        if node.tag in _NUMBERS and (":" in text or octal):
            self.refuse(f"YAML reads {text} as {value}; write that, or put text in quotes", path)
        return value

    def mapping(self, node: yaml.MappingNode, *path: str) -> dict[str, Any]:
        """Keys are the texts that stand there; those of `<<: *anchor` give way to the others."""
        own: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if key.tag == _MERGE:
                each = value.value if isinstance(value, yaml.SequenceNode) else [value]
                for one in each:
                    if not isinstance(one, yaml.MappingNode):
                        self.refuse("only mappings can be merged", (*path, "<<"))
                    merged = self.mapping(one, *path, "<<") | merged
            elif not isinstance(key, yaml.ScalarNode) or key.tag not in _KEYS:
                self.refuse(f"a key must be plain text (line {line}); put it in quotes", path)
            elif key.value in own:
                self.refuse(f"key '{key.value}' is given twice (line {line}); remove one", path)
            else:
                own[key.value] = self.value(value, *path, key.value)
        return merged | own

    def refuse(self, problem: str, path: tuple[str, ...]) -> NoReturn:
        """Raise the one line about what stands at a path."""
        raise UserError(": ".join(filter(None, (self.where, ".".join(path), problem))))
