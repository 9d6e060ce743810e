"""Choices that a suite has, read from the registries; nothing is kept by hand.

Registries are of declarations, so that a listing needs neither torch nor a second.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from adatok_core.config.encoder import ENCODERS
from adatok_core.config.objective import OBJECTIVES
from adatok_core.config.quantizer import QUANTIZERS
from adatok_core.config.weighting import WEIGHTINGS
from adatok_core.registry import Registry, RegistryError
from bench.config.allocators import ALLOCATORS, LEARNED
from bench.config.tokenizers import FACTORIES
from bench.data.datasets import DATASETS
from bench.errors import UserError
from bench.metrics.declared import METRICS
from bench.metrics.extractors import EXTRACTORS
from bench.records.report_plugins import REPORTS
from bench.stages import STAGES
from bench.suite.loading import read_suite_file


@dataclass(frozen=True)
class Entry:
    """One thing to choose: its `kind`, its name in a suite, what it is, and `file:line`."""

    kind: str
    name: str
    about: str
    defined: str


@dataclass(frozen=True)
class Kind:
    """Things of one kind: `key` is where a suite names one, `find` looks them up.

    `find` takes the name of the kind and the folder of suites.
    """

    key: str
    find: Callable[[str, Path], Iterator[Entry]]


def entries(kinds: Iterable[str], *, suites: Path) -> list[Entry]:
    """All there is of these `kinds`, names of `KINDS`; suites are the YAML files below `suites`.

    Raises:
        UserError: there is no such folder, or two packages register one name.
    """
    try:
        return [entry for kind in kinds for entry in KINDS[kind].find(kind, suites)]
    except RegistryError as error:
        raise UserError(str(error)) from None


def _registered(registries: tuple[Registry[Any], ...], kind: str, _: Path) -> Iterator[Entry]:
    for registry in registries:
        for entry in registry.entries():
            yield Entry(kind, entry.name, entry.about, _place(entry.origin))


def _metrics(kind: str, _: Path) -> Iterator[Entry]:
    needs = {
        metric.name: extractor.needs
        for extractor in EXTRACTORS.values()
        for metric in (*extractor.of_reconstructions(), *extractor.of_samples())
    }
    for name, metric in METRICS.items():
        about = _with_needs(metric.caption, needs.get(name))
        yield Entry(kind, name, about, _place(METRICS.entry(name).origin))


def _extractors(kind: str, _: Path) -> Iterator[Entry]:
    for entry in EXTRACTORS.entries():
        try:
            needs = EXTRACTORS[entry.name].needs
        except RegistryError:  # `about` tells why it cannot be used.
            needs = None
        yield Entry(kind, entry.name, _with_needs(entry.about, needs), _place(entry.origin))


def _with_needs(about: str, needs: str | None) -> str:
    return f"{about}; needs {needs}" if needs else about


def _suites(kind: str, folder: Path) -> Iterator[Entry]:
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder of suites; give --suites")
    paths = (*folder.rglob("*.yaml"), *folder.rglob("*.yml"))
    for path in sorted(paths, key=lambda path: (len(path.parts), path)):
        try:
            file = read_suite_file(path)
        except UserError as error:
            yield Entry(kind, path.stem, f"not valid: {error}", _place(f"{path}:1"))
            continue
        lines = path.read_text("utf-8").splitlines()
        line = next(n for n, text in enumerate(lines, 1) if text.startswith("suite:"))
        yield Entry(kind, file.suite, " ".join(file.question.split()), _place(f"{path}:{line}"))


def _kind(key: str, *registries: Registry[Any]) -> Kind:
    return Kind(key, partial(_registered, registries))


KINDS = {
    "tokenizers": _kind("tokenizer.encoding", ENCODERS),
    "factories": _kind("tokenizer.factory, of kind external; check, bank", FACTORIES),
    "quantizers": _kind("tokenizer.quantizer.kind", QUANTIZERS),
    "allocators": _kind("allocator.kind; the learned one under policy", ALLOCATORS, LEARNED),
    "objectives": _kind("policy.objective.kind", OBJECTIVES),
    "weightings": _kind("policy.weighting.kind", WEIGHTINGS),
    "metrics": Kind("in records; --metric of results and compare", _metrics),
    "extractors": Kind("bank.extractors, or as they say", _extractors),
    "stages": _kind("resources; extra, those that are not ours", STAGES),
    "datasets": _kind("data.kind", DATASETS),
    "suites": Kind("SUITE_FILE of validate, plan and run", _suites),
    "reports": _kind("reports of a suite", REPORTS),
}


def _place(origin: str) -> str:
    """`file:line`, relative to here where the file lies below; a package's name stays as it is."""
    path, _, line = origin.rpartition(":")
    here = Path.cwd()
    if not line.isdecimal():
        return origin
    file = Path(path).absolute()
    return f"{file.relative_to(here) if file.is_relative_to(here) else file}:{line}"
