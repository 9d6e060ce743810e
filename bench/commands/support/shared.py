"""Shared by the subcommands: options, progress, loading a suite, printing rows."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench.errors import UserError
from bench.files import impossible_path

if TYPE_CHECKING:
    from bench.suite.expansion import Taken
    from bench.suite.loading import Suite

STORE = "store"


def _remember_store(context: click.Context, parameter: click.Parameter, path: str) -> str:
    """For whoever has to write down a crash."""
    if isinstance(context.obj, dict):
        context.obj["store"] = path
    return path


class GivenPath(click.Path):
    """A path in UTF-8; `~` is the user's home folder."""

    def convert(self, value: Any, *context: Any) -> Any:
        """Raises UserError where records, databases or the file system could not hold the path."""
        text = os.path.expanduser(value)
        try:
            os.fspath(text).encode()
        except UnicodeEncodeError:
            raise UserError(f"{text}: is not UTF-8, as paths must be here; rename it") from None
        reason = impossible_path(text)
        if reason is not None:
            raise UserError(f"{text}: {reason}; give another path")
        return super().convert(text, *context)


PATH = GivenPath()

store_option = click.option(
    "--store",
    "store_path",
    envvar="ADATOK_STORE",
    default=STORE,
    show_default=True,
    type=PATH,
    callback=_remember_store,
    help="Folder of artifacts and records.",
)
tracking_option = click.option(
    "--tracking-uri",
    "uri",
    help="MLflow server, or database as sqlite:////absolute/path.db; default: in the store.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")

limit_option = click.option(
    "--limit",
    type=click.IntRange(1),
    metavar="N",
    help="Only the first N images, in the set's order.",
)
ids_option = click.option(
    "--ids",
    "ids",
    type=PATH,
    metavar="FILE",
    help="Only the images with these ids, one a line.",
)


def say(message: str) -> None:
    """Progress, on stderr."""
    click.echo(message, err=True)


def tell(suite: str, notes: Sequence[str]) -> None:
    """What is left out of a suite, in one line on stderr; nothing where nothing is."""
    if notes:
        say(f"{suite}: {'; '.join(notes)} (results --superseded shows all records)")


def load(
    path: str,
    *,
    limit: int | None = None,
    ids: str | None = None,
    taken: Taken | None = None,
    store: Path | None = None,
) -> Suite:
    """A suite whose reports exist as well, of all its images or a part of them, or as `taken`.

    Of a search it has the cells that the `store` knows.
    """
    from bench.records.report_plugins import check_reports
    from bench.suite.expansion import Taken
    from bench.suite.loading import load_suite

    suite = load_suite(path, taken or Taken.of(limit, ids), store=store)
    check_reports(suite.reports, where=str(suite.path))
    return suite


def terminal_width() -> int | None:
    """Columns that stdout has room for; None where it is no terminal and nothing is to be cut."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def print_json(value: Any) -> None:
    """A value on stdout, as JSON."""
    click.echo(json.dumps(value, indent=1))


batch_option = click.option(
    "--batch",
    default=64,
    show_default=True,
    type=click.IntRange(1),
    help="Images at a time.",
)
device_option = click.option(
    "--device",
    default="cpu",
    show_default=True,
    type=click.Choice(["cpu", "cuda"]),
    callback=lambda context, parameter, device: _require_device(device),
    help="Where to compute.",
)


def _require_device(device: str) -> str:
    """Refuse a GPU where there is none; nothing else would be computed instead."""
    if device == "cuda":
        import torch

        if not torch.cuda.is_available():
            raise UserError("--device cuda: this machine has no usable GPU; use --device cpu")
    return device


@contextmanager
def progress_of(label: str) -> Iterator[Callable[[int], Callable[[int], None]]]:
    """Gives `started(total)`, which gives what is told of each image: a bar on stderr."""
    with ExitStack() as stack:

        def started(total: int) -> Callable[[int], None]:
            bar = click.progressbar(length=total, label=label, file=sys.stderr, show_pos=True)
            return stack.enter_context(bar).update

        yield started
