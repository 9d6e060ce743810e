"""Options that name a tokenizer on the command line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench.commands.support.completion import complete_tokenizer
from bench.commands.support.shared import PATH
from bench.errors import UserError

if TYPE_CHECKING:
    from bench.models.exported_model import ExportedModel

model_option = click.option("--model", type=PATH, help="Folder that export has made.")
tokenizer_option = click.option(
    "--tokenizer",
    metavar="FACTORY",
    shell_complete=complete_tokenizer,
    help="Instead of --model: module:function, file.py:function, or a registered name.",
)
argument_option = click.option(
    "--argument",
    "arguments",
    multiple=True,
    metavar="NAME=VALUE",
    help="Of the factory; the value is read as YAML. Repeatable.",
)
python_option = click.option(
    "--python", metavar="PATH", help="Interpreter to run the factory under. Default: this one."
)


def model_or_tokenizer(command: Callable[..., None]) -> Callable[..., None]:
    """Options of a command that works with either; `load_model` takes what they give."""
    for option in (python_option, argument_option, tokenizer_option, model_option):
        command = option(command)
    return command


def arguments_of(given: Sequence[str]) -> dict[str, Any]:
    """The arguments `NAME=VALUE` of a factory.

    Raises:
        UserError: one is no such pair, or given twice.
    """
    import yaml

    arguments: dict[str, Any] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name.isidentifier():
            raise UserError(f"--argument {text}: give NAME=VALUE, with the name of an argument")
        if name in arguments:
            raise UserError(f"--argument {name}: is given twice; drop one")
        try:
            arguments[name] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise UserError(f"--argument {text}: is no YAML value; put it in quotes") from None
    return arguments


def load_model(
    model: str | None,
    tokenizer: str | None,
    arguments: Sequence[str],
    python: str | None,
    *,
    device: str,
) -> ExportedModel:
    """The model that the options name: an exported one, or what a factory makes.

    Raises:
        UserError: none or two are named, or it does not work.
    """
    if (model is None) == (tokenizer is None):
        raise UserError("--model, --tokenizer: give one of the two")
    if model is not None and (arguments or python):
        raise UserError("--argument, --python: are for --tokenizer; an exported model has its own")
    from bench.models.exported_model import ExportedModel

    if tokenizer is None:
        return ExportedModel.load(Path(str(model)), device=device)
    from bench.config.settings import parse
    from bench.config.tokenizers import ExternalTokenizer

    raw: dict[str, Any] = {"factory": tokenizer, "arguments": arguments_of(arguments)}
    if python is not None:
        raw["python"] = python
    settings = parse(ExternalTokenizer, raw, where="--tokenizer")
    return ExportedModel.of_factory(settings, device=device)
