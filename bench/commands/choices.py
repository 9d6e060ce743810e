"""What there is to choose from, read from the code's own registries; nothing is kept by hand.

No implementation is imported, so that a listing needs neither torch nor a second: what is
registered in a module that does is read from its source.
"""

from __future__ import annotations

import ast
import dataclasses
import importlib.util
import inspect
import re
import typing
from collections.abc import Callable, Iterator
from pathlib import Path

from adatok_core.config import PolicyConfig
from adatok_core.config.objective import ObjectiveConfig
from adatok_core.config.quantizer import Quantizer
from adatok_core.config.weighting import WeightingConfig
from adatok_core.registry import RegistryError
from bench.config.allocators import AllocatorConfig
from bench.config.cell import CellConfig
from bench.errors import UserError
from bench.metrics.declared import METRICS
from bench.records.report_plugins import REPORTS
from bench.suite.loading import read_suite_file


@dataclasses.dataclass(frozen=True)
class Entry:
    """One thing to choose: its `kind`, its name in a suite, what it is, and `file:line`."""

    kind: str
    name: str
    about: str
    defined: str


@dataclasses.dataclass(frozen=True)
class Kind:
    """Things of one kind: `key` is where a suite names one, `find` looks them up.

    `find` takes the folder of suites.
    """

    key: str
    find: Callable[[Path], Iterator[Entry]]


def entries(kinds: typing.Iterable[str], *, suites: Path) -> list[Entry]:
    """All there is of these `kinds`, names of `KINDS`; suites are the YAML files below `suites`.

    Raises:
        UserError: there is no such folder.
    """
    return [entry for kind in kinds for entry in KINDS[kind].find(suites)]


def _alternatives(kind: str, union: object, *others: tuple[str, type]) -> Iterator[Entry]:
    """Configurations that a suite tells apart by their `kind`."""
    members = typing.get_args(union)
    named = [(next(f for f in dataclasses.fields(one) if f.name == "kind"), one) for one in members]
    for name, one in (*((field.default, one) for field, one in named), *others):
        _, line = inspect.getsourcelines(one)
        about = _first_sentence(inspect.getdoc(one))
        yield Entry(kind, name, about, _place(inspect.getsourcefile(one), line))


def _tokenizers(suites: Path) -> Iterator[Entry]:
    """The encoders registered in `adatok_core.encoders`, by its source."""
    _, tree = _source("adatok_core.encoders")
    classes = {
        alias.name: node.module
        for node in tree.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    for key, value in _literal(tree, "ENCODINGS"):
        module, source = _source(classes[value.id])
        found = _definition(source, value.id)
        about = _first_sentence(ast.get_docstring(found))
        yield Entry("tokenizers", key.value, about, _place(module, found.lineno))


def _metrics(_: Path) -> Iterator[Entry]:
    for name, metric in METRICS.items():
        path, _, line = METRICS.entry(name).origin.rpartition(":")
        yield Entry("metrics", name, metric.caption, _place(path, int(line)))


def _datasets(_: Path) -> Iterator[Entry]:
    yield from _alternatives("datasets", typing.get_type_hints(CellConfig)["data"])


def _reports(_: Path) -> Iterator[Entry]:
    for name in sorted(REPORTS):
        try:
            report = REPORTS[name]
        except RegistryError as error:  # Entry points outlive a package that was moved.
            yield Entry("reports", name, f"cannot be used: {error}", REPORTS.entry(name).origin)
            continue
        path, _, line = report.origin.rpartition(":")
        yield Entry("reports", name, _first_sentence(report.about), _place(path, int(line)))


def _suites(folder: Path) -> Iterator[Entry]:
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder of suites; give --suites")
    paths = (*folder.rglob("*.yaml"), *folder.rglob("*.yml"))
    for path in sorted(paths, key=lambda path: (len(path.parts), path)):
        try:
            file = read_suite_file(path)
        except UserError as error:
            yield Entry("suites", path.stem, f"not valid: {error}", _place(path, 1))
            continue
        lines = path.read_text("utf-8").splitlines()
        line = next(n for n, text in enumerate(lines, 1) if text.startswith("suite:"))
        yield Entry("suites", file.suite, " ".join(file.question.split()), _place(path, line))


KINDS = {
    "tokenizers": Kind("tokenizer.encoding", _tokenizers),
    "quantizers": Kind(
        "tokenizer.quantizer.kind", lambda _: _alternatives("quantizers", Quantizer)
    ),
    "allocators": Kind(
        "allocator.kind; the learned one under policy",
        lambda _: _alternatives("allocators", AllocatorConfig, ("policy", PolicyConfig)),
    ),
    "objectives": Kind(
        "policy.objective.kind", lambda _: _alternatives("objectives", ObjectiveConfig)
    ),
    "weightings": Kind(
        "policy.weighting.kind", lambda _: _alternatives("weightings", WeightingConfig)
    ),
    "metrics": Kind("in records; --metric of results and compare", _metrics),
    "datasets": Kind("data.kind", _datasets),
    "suites": Kind("SUITE_FILE of validate, plan and run", _suites),
    "reports": Kind("reports of a suite", _reports),
}


def _source(module: str) -> tuple[Path, ast.Module]:
    """File and syntax tree of a module; neither it nor the packages above it are imported."""
    top, *inner = module.split(".")
    path = Path(importlib.util.find_spec(top).origin)
    if inner:
        path = path.parent.joinpath(*inner)
        path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return path, ast.parse(path.read_text("utf-8"))


def _literal(tree: ast.Module, name: str) -> list[tuple[ast.expr, ast.expr]]:
    """Keys and values of the dictionary that a module gives this name."""
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if any(isinstance(target, ast.Name) and target.id == name for target in targets):
            return list(zip(node.value.keys, node.value.values, strict=True))
    raise LookupError(name)


def _definition(tree: ast.Module, name: str) -> ast.ClassDef | ast.FunctionDef | None:
    return next((node for node in tree.body if getattr(node, "name", None) == name), None)


def _first_sentence(text: str | None) -> str:
    """The first sentence of a docstring, on one line, without its full stop."""
    paragraph = " ".join((text or "").strip().split("\n\n")[0].split())
    return re.split(r"(?<!et al)\.(?= [A-Z`]|$)", paragraph)[0].replace("`", "")


def _place(path: str | Path, line: int) -> str:
    """`file:line`, relative to here where the file lies below."""
    path = Path(path).absolute()
    here = Path.cwd()
    return f"{path.relative_to(here) if path.is_relative_to(here) else path}:{line}"
