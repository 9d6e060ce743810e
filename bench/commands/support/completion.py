"""`adatok-bench completion`, and what completes names that only the store knows."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import click
from click.shell_completion import BashComplete, CompletionItem, FishComplete, ZshComplete

from bench.commands.support.shared import STORE
from bench.errors import UserError

PROGRAM = "adatok-bench"
VARIABLE = "_ADATOK_BENCH_COMPLETE"
SHELLS = {"bash": BashComplete, "zsh": ZshComplete, "fish": FishComplete}


@click.command()
@click.argument("shell", type=click.Choice(list(SHELLS)))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the script for completion in a SHELL.

    It completes commands, options, and the names of suites and cells that have records in the
    store. In bash, behind the colon of SUITE:ARM there is none.

    \b
    Examples:
      adatok-bench completion bash >> ~/.bashrc
      adatok-bench completion zsh >> ~/.zshrc
      adatok-bench completion fish > ~/.config/fish/completions/adatok-bench.fish
    """
    command = context.find_root().command
    click.echo(SHELLS[shell](command, {}, PROGRAM, VARIABLE).source())


def complete_suite(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Suites that have records in the store, or else YAML files."""
    names = _starting(incomplete, (folder.name for folder in _records(context).glob("*")))
    return names or [CompletionItem(incomplete, type="file")]


def complete_cells(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Suites that have records; behind a suite's colon its arms; and keys of cells."""
    suite, colon, _ = incomplete.partition(":")
    files = sorted(_records(context).glob(f"{suite}/*.json" if colon else "*/*.json"))
    if colon:
        return _starting(incomplete, (f"{suite}:{_arm(path)}" for path in files))
    suites = (path.parent.name for path in files)
    # Without a first letter, keys would bury the names.
    return _starting(incomplete, (*suites, *(path.stem for path in files if incomplete)))


def complete_tokenizer(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Factories that are registered, or else files and folders."""
    from bench.config.tokenizers import FACTORIES

    return _starting(incomplete, FACTORIES) or [CompletionItem(incomplete, type="file")]


def _records(context: click.Context) -> Path:
    given = context.params.get("store_path") or STORE
    return Path(given).expanduser() / "records"


def _arm(path: Path) -> str:
    from bench.records.record import parse_record

    try:
        return parse_record(path.read_bytes(), where=str(path)).arm
    except (OSError, UserError):
        return ""  # Torn: whoever reads it will say so.


def _starting(incomplete: str, names: Iterable[str]) -> list[CompletionItem]:
    return [CompletionItem(name) for name in sorted({*names}) if name.startswith(incomplete)]
