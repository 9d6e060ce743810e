"""Choosing records by their settings, as `--where lora.rank=8` does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.config.yaml_text import plain_yaml
from bench.errors import UserError, suggestion

if TYPE_CHECKING:
    from bench.records.record import Record


@dataclass(frozen=True)
class Condition:
    """A setting, by its full dotted path, has this value."""

    path: str
    value: Any

    def holds(self, record: Record) -> bool:
        """Whether the record has the setting with this value."""
        settings = dict(_paths(_settings(record)))
        return self.path in settings and _same(settings[self.path], self.value)


def conditions(texts: Sequence[str], records: Sequence[Record]) -> list[Condition]:
    """The conditions that each `PATH=VALUE` means for these records.

    PATH is the end of a setting's dotted path, or `arm`. VALUE is read as YAML: `8`, `true`,
    `null`, `[2, 4, 8]`.

    Raises:
        UserError: not of that form; no setting's path ends so; or those of several do.
    """
    known = dict.fromkeys(path for one in records for path, _ in _paths(_settings(one)))
    return [_condition(text, list(known)) for text in texts]


def values_of(path: str, records: Sequence[Record]) -> list[Any]:
    """The different values that a setting has in these records."""
    found: list[Any] = []
    for record in records:
        for name, value in _paths(_settings(record)):
            if name == path and not any(_same(value, other) for other in found):
                found.append(value)
    return found


def _condition(text: str, known: list[str]) -> Condition:
    given, equals, value = text.partition("=")
    given = given.strip()
    if not equals or not given:
        raise UserError(f"--where {text}: write PATH=VALUE, such as lora.rank=8")
    matching = [path for path in known if path == given or path.endswith(f".{given}")]
    if given in matching:
        matching = [given]
    if not matching:
        ends = {
            ".".join(path.split(".")[-n:]) for path in known for n in (1, 2, given.count(".") + 1)
        }
        raise UserError(
            f"--where {given}: no setting is called so{suggestion(given, sorted(ends))}"
        )
    if len(matching) > 1:
        raise UserError(
            f"--where {given}: is the end of {' and of '.join(matching)}; give more of it"
        )
    return Condition(matching[0], plain_yaml(value, where=f"--where {text}"))


def _settings(record: Record) -> dict[str, Any]:
    return {"arm": record.arm, **record.settings}


def _paths(settings: dict[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Every setting with its dotted path, groups of settings included."""
    for name, value in settings.items():
        yield f"{above}{name}", value
        if isinstance(value, dict):
            yield from _paths(value, f"{above}{name}.")


def _same(setting: Any, value: Any) -> bool:
    """Equal, where 1 is 1.0 but not true, and 1e-3, which YAML reads as text, is a number."""
    if isinstance(setting, bool) or isinstance(value, bool):
        return setting is value
    if isinstance(setting, int | float) and isinstance(value, str):
        try:
            return bool(setting == float(value))
        except ValueError:
            return False
    return bool(setting == value)
