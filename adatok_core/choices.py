"""Declarations of what a suite can choose, and fields that hold one of the declared.

A declaration is small: it names the configuration, which needs nothing slow, and where the thing
is built, which is imported when one is built.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from adatok_core.registry import Registry, RegistryError, load_attribute


@dataclass(frozen=True, kw_only=True)
class Built:
    """Something to choose; `build` makes one: `module:attribute`, or a class or function itself."""

    build: str | Callable[..., Any]

    def load(self) -> Callable[..., Any]:
        """Import what makes one.

        Raises:
            RegistryError: there is no such module or attribute.
        """
        try:
            made: Callable[..., Any] = load_attribute(self.build)
        except (ImportError, AttributeError) as error:
            raise RegistryError(f"{self.build}: cannot be imported: {error}") from error
        return made


@dataclass(frozen=True, kw_only=True)
class Choice(Built):
    """A choice with settings of its own: `config`, a frozen dataclass told apart by its `kind`.

    The `kind` is a field whose default is the name that the choice is registered under.
    """

    config: type[Any]

    @property
    def about(self) -> str:
        """The configuration's docstring."""
        return self.config.__doc__ or ""

    @property
    def kind(self) -> str | None:
        """The configuration's own name; None where it has no field `kind`."""
        fields = {field.name: field.default for field in dataclasses.fields(self.config)}
        kind = fields.get("kind")
        return kind if isinstance(kind, str) else None


@dataclass(frozen=True, eq=False)
class OneOf:
    """Marks a field that holds one of the configurations in a registry, told apart by `kind`.

    Settings without a `kind` are of the kind `default`, whose configuration needs none.
    """

    registry: Registry[Any]
    default: str | None = None

    def config(self, name: str) -> type[Any]:
        """The configuration of a name.

        Raises:
            RegistryError: there is none, it cannot be imported, or has another kind.
        """
        choice = self.registry[name]
        found: type[Any] = choice.config
        if choice.kind != name and (choice.kind, name) != (None, self.default):
            raise RegistryError(
                f"{self.registry.kind} '{name}' ({self.registry.entry(name).origin}): the kind of "
                f"{found.__name__} is {choice.kind!r}; register it under that name"
            )
        return found

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> dict[str, Any]:
        """A union that pydantic takes apart by `kind`, in its plain form: it is not needed here."""

        def schema(name: str) -> dict[str, Any]:
            try:
                made: dict[str, Any] = handler.generate_schema(self.config(name))
            except RegistryError as error:  # Told to those alone who ask for this plug-in.
                return _refusing(str(error))
            return made

        choices = {name: schema(name) for name in self.registry}
        told_by = "kind" if self.default is None else self._kind_of
        return {"type": "tagged-union", "discriminator": told_by, "choices": choices}

    def _kind_of(self, raw: Any) -> Any:
        """The kind of settings, or of a configuration."""
        own = raw.get("kind") if isinstance(raw, dict) else getattr(raw, "kind", None)
        return self.default if own is None else own


@dataclass(frozen=True, eq=False)
class NameOf:
    """Marks a field that holds a name in a registry."""

    registry: Registry[Any]

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> dict[str, Any]:
        """The names as literals, in pydantic's plain form."""
        return {"type": "literal", "expected": list(self.registry)}


def _refusing(message: str) -> dict[str, Any]:
    def refuse(_: Any) -> Any:
        raise ValueError(message)

    return {"type": "function-plain", "function": {"type": "no-info", "function": refuse}}
