"""`adatok-bench bank`."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.commands.support.completion import complete_tokenizer
from bench.commands.support.shared import (
    PATH,
    batch_option,
    device_option,
    ids_option,
    limit_option,
    print_json,
    say,
    store_option,
    terminal_width,
)
from bench.commands.support.tokenizers import argument_option, arguments_of, python_option
from bench.errors import UserError

if TYPE_CHECKING:
    from bench.api import MadeBank


def _budgets(context: click.Context, parameter: click.Parameter, text: str | None) -> list[int]:
    """Numbers with commas between."""
    parts = [] if text is None else text.split(",")
    if not all(part.strip().isdecimal() and int(part) > 0 for part in parts):
        raise UserError(f"--budgets {text}: give numbers of tokens, such as 1,8,64")
    return [int(part) for part in parts]


@click.command()
@click.argument("tokenizer", type=PATH, shell_complete=complete_tokenizer)
@click.argument("folder", type=PATH)
@click.option(
    "--budgets",
    metavar="K,K,...",
    callback=_budgets,
    help="Numbers of tokens to decode at. Default: the tokenizer's own.",
)
@argument_option
@python_option
@limit_option
@ids_option
@batch_option
@device_option
@click.option("--out", type=PATH, help="A new folder for the bank's files and the curve.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "csv", "json", "md"]),
    help="Default: text. csv and json have values in full.",
)
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
@store_option
def bank(
    tokenizer: str,
    folder: str,
    budgets: list[int],
    arguments: tuple[str, ...],
    python: str | None,
    limit: int | None,
    ids: str | None,
    batch: int,
    device: str,
    out: str | None,
    form: str | None,
    as_json: bool,
    store_path: str,
) -> None:
    """Make a bank of the images in a FOLDER, and print its curve. No suite is needed.

    TOKENIZER is a factory (module:function, file.py:function, or a registered name), or the folder
    of an exported model. All images below FOLDER are encoded at its resolution, decoded at every
    budget and measured: rate, errors, distances, images per second. What is in the store is not
    computed again, and what was interrupted goes on. The result is a record like a suite's, by the
    name that is told: results, compare and report know it.

    \b
    Examples:
      adatok-bench bank my_tok.py:make photos --argument levels=6
      adatok-bench bank mine.tokenizers:make photos --budgets 1,8,64 --limit 1000
      adatok-bench bank exported photos --ids ids.txt --format csv > curve.csv
      adatok-bench bank exported photos --out photos_bank --json
    """
    if as_json and form not in (None, "json"):
        raise UserError(f"--json and --format {form}: drop one of the two")
    target = None if out is None else Path(out).absolute()
    if target is not None and (target.exists() or target.is_symlink()):
        raise UserError(f"--out {target}: is there already; name a new folder")
    from bench.api import bank as make_bank
    from bench.run.watch import watch_on_stderr

    made = make_bank(
        tokenizer,
        folder,
        arguments=arguments_of(arguments),
        python=python,
        budgets=budgets or None,
        limit=limit,
        ids=ids,
        batch=batch,
        device=device,
        store=store_path,
        say=say,
        watch=watch_on_stderr(say),
    )
    if target is not None:
        _copy(made, target)
    _print(made, "json" if as_json else form or "text")
    say(f"bank     {target or made.bank.path}")
    say(f"record   adatok-bench results {made.suite} --store {store_path}")


def _copy(made: MadeBank, target: Path) -> None:
    """The bank's files, and the curve beside them; all of it or nothing."""
    from bench.files import written_aside
    from bench.store.integrity import names_in

    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with written_aside(target) as aside:
            aside.mkdir()
            for name in names_in(made.bank.path):
                shutil.copyfile(made.bank.path / name, aside / name)
            made.curve.to_csv(aside / "curve.csv", index=False)
    except OSError as error:
        raise UserError(f"cannot write {target}: {error.strerror}; give another --out") from error


def _print(made: MadeBank, form: str) -> None:
    from bench.records.tables import as_markdown, as_text

    images = made.bank.about["images"]
    if form == "json":
        told = {
            "suite": made.suite,
            "cell_key": made.record.cell_key,
            "bank": str(made.bank.path),
            "n": images["count"],
            "selection": images.get("selection"),
            "protocol_hash": made.record.protocol_hash,
            "curve": [
                {"budget": row.budget, "trained": row.trained, **row.values}
                for row in made.record.curve
            ],
        }
        print_json(told)
        return
    if form == "csv":
        click.echo(made.curve.assign(n=images["count"]).to_csv(index=False), nl=False)
        return
    shown = made.shown.assign(n=images["count"]).astype(object)
    rows = [dict(zip(shown.columns, row, strict=True)) for row in shown.to_numpy().tolist()]
    click.echo(as_markdown(rows) if form == "md" else as_text(rows, width=terminal_width()))
