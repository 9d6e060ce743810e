"""Registries: what there is to choose from, by name. A thing is imported when it is asked for."""

from __future__ import annotations

import difflib
import functools
import importlib
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from importlib.metadata import entry_points
from typing import Any, ClassVar, Generic, TypeVar, cast

Thing = TypeVar("Thing")


class RegistryError(ValueError):
    """A name that is unknown or taken, or a plug-in that cannot be used; one line says which."""


@dataclass(frozen=True)
class Entry:
    """One registered name: `about` says what it is, `origin` (`file:line`) where it is declared.

    `target` is the thing, or `module:attribute`; `plugin`: another package's entry point.
    """

    name: str
    about: str
    origin: str
    target: Any
    plugin: bool = False


class Registry(Generic[Thing], Mapping[str, Thing]):
    """Things of one kind by name, in the order of their registration, then plug-ins by name.

    Args:
        kind: the noun for messages, such as `quantizer`.
        group: entry-point group under which other packages register theirs.
        expects: type that every thing must have.
        further: gives the entries that plug-ins of another kind bring.

    `revision` grows whenever something is registered in any registry.
    """

    revision: ClassVar[int] = 0

    def __init__(
        self,
        kind: str,
        *,
        group: str,
        expects: type[Any] = object,
        further: Callable[[], Iterable[Entry]] = tuple,
    ):
        self.kind, self.group, self.expects, self._further = kind, group, expects, further
        self._entries: dict[str, Entry] = {}
        self._complete = False

    def add(
        self, name: str, thing: Thing | str, *, about: str = "", frame: int = 1, origin: str = ""
    ) -> None:
        """Register a thing, or `module:attribute` to import when it is asked for.

        `frame` counts the calls between here and the place that is its `origin`, if none is given.

        Raises:
            RegistryError: the name is taken.
        """
        caller = sys._getframe(frame)
        origin = origin or f"{caller.f_code.co_filename}:{caller.f_lineno}"
        self._put(Entry(name, about or first_sentence(thing), origin, thing))

    def __getitem__(self, name: str) -> Thing:
        """Import and give the thing of this name.

        Raises:
            RegistryError: there is none of this name, with the nearest that there is; or it cannot
                be imported, or is of another type.
        """
        entry = self.entry(name)
        thing = entry.target
        if isinstance(thing, str) and self.expects is not str:
            thing = self._load(entry, functools.partial(load_attribute, thing))
        if not isinstance(thing, self.expects):
            raise RegistryError(
                f"{self.kind} '{name}' ({entry.origin}): is a {type(thing).__name__}, and must be "
                f"a {self.expects.__name__}"
            )
        return cast(Thing, thing)

    def __iter__(self) -> Iterator[str]:
        """Names."""
        self._find_plugins()
        return iter(self._entries)

    def __len__(self) -> int:
        """How many there are."""
        self._find_plugins()
        return len(self._entries)

    def __contains__(self, name: object) -> bool:
        """Whether there is one of this name; nothing is imported."""
        self._find_plugins()
        return name in self._entries

    def entry(self, name: str) -> Entry:
        """Say what is registered under a name, without importing it.

        Raises:
            RegistryError: there is none, with the nearest that there is.
        """
        if name not in self:
            raise RegistryError(f"unknown {self.kind} '{name}'{suggestion(name, list(self))}")
        return self._entries[name]

    def entries(self) -> Iterator[Entry]:
        """All entries; what is not imported yet is, to tell what it is and where, if it can be."""
        for name in self:
            entry = self._entries[name]
            if isinstance(entry.target, str) and self.expects is not str:
                entry = self._told(entry)
            yield entry

    def _told(self, entry: Entry) -> Entry:
        try:
            thing = self[entry.name]
        except RegistryError as error:
            return replace(entry, about=f"cannot be used: {error}")
        module = sys.modules[entry.target.partition(":")[0]]
        declared = entry.origin if entry.plugin else f"{module.__file__}:1"
        return replace(
            entry,
            about=entry.about or first_sentence(thing) or first_sentence(module),
            origin=getattr(thing, "origin", declared),
        )

    def own(self) -> list[Thing]:
        """Things that are no plug-ins."""
        named = list(self._entries.items())
        return [self[name] for name, one in named if not one.plugin]

    def _put(self, entry: Entry) -> None:
        self._require_free(entry, self._entries)
        self._entries[entry.name] = entry
        Registry.revision += 1

    def _require_free(self, entry: Entry, among: Mapping[str, Entry]) -> None:
        taken = among.get(entry.name)
        if taken is not None:
            raise RegistryError(
                f"{self.kind} '{entry.name}' ({entry.origin}): this name is taken by "
                f"{taken.origin}; choose another"
            )

    def _find_plugins(self) -> None:
        """Add all plug-ins or, where one's name is taken, none, and so again at the next call."""
        if self._complete:
            return
        found = dict(self._entries)
        points = sorted(entry_points(group=self.group), key=lambda point: point.name)
        for entry in (*map(_of_point, points), *self._further()):
            self._require_free(entry, found)
            found[entry.name] = entry
        self._entries, self._complete = found, True

    def _load(self, entry: Entry, load: Callable[[], Any]) -> Any:
        try:
            return load()
        except Exception as error:  # Whatever another package's module does when it is imported.
            raise RegistryError(
                f"{self.kind} '{entry.name}' ({entry.origin}): cannot be imported: {error}; "
                "install its package again"
            ) from error


def _of_point(point: Any) -> Entry:
    """The entry of an entry point, whose class is another one once a backport is imported."""
    package = point.dist.name if point.dist is not None else "a package"
    origin = f"{package}: {point.value}"
    return Entry(point.name, "", origin, f"{point.module}:{point.attr}", plugin=True)


def suggestion(given: str, valid: list[str]) -> str:
    """`; did you mean 'x'?`, or the list of what is valid."""
    close = difflib.get_close_matches(given, valid, n=1)
    if close:
        return f"; did you mean '{close[0]}'?"
    return f"; valid: {', '.join(valid)}" if valid else ""


def load_attribute(target: Any) -> Any:
    """Import what `module:attribute` names; what is no text is the thing itself.

    Raises:
        ImportError, AttributeError: it is not there.
    """
    if not isinstance(target, str):
        return target
    module, _, attribute = target.partition(":")
    return getattr(importlib.import_module(module), attribute)


def first_sentence(thing: Any) -> str:
    """The first sentence of a thing's `about` or own docstring, on one line, without full stop."""
    told = getattr(thing, "about", None) or ""
    if not told and hasattr(thing, "__name__"):  # A class, function or module; not an instance.
        told = thing.__doc__ or ""
    paragraph = " ".join(told.strip().split("\n\n")[0].split())
    return re.split(r"(?<!et al)\.(?= [A-Z`]|$)", paragraph)[0].replace("`", "")
