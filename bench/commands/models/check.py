"""`adatok-bench check`."""

from __future__ import annotations

import functools
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench.commands.support.completion import complete_tokenizer
from bench.commands.support.shared import PATH, device_option, json_option, load, print_json
from bench.commands.support.tokenizers import argument_option, arguments_of, python_option
from bench.errors import UserError, suggestion

if TYPE_CHECKING:
    from bench.external.subject import Subject


@click.command()
@click.argument("tokenizer", type=PATH, shell_complete=complete_tokenizer)
@argument_option
@python_option
@click.option("--arm", help="Arm of a suite file. Default: its only one.")
@click.option("--images", "folder", type=PATH, help="Folder of images. Default: generated scenes.")
@device_option
@json_option
def check(
    tokenizer: str,
    arguments: tuple[str, ...],
    python: str | None,
    arm: str | None,
    folder: str | None,
    device: str,
    as_json: bool,
) -> None:
    """Check that TOKENIZER keeps the contract of tokenizers.

    TOKENIZER is module:function, file.py:function, a registered name, a suite file with --arm, or a
    folder that export has made. A line for each property, with numbers: shapes, ids within the
    codebook, range, the same twice, alone as in a batch, prefixes, no memory between calls. Exits
    with 1 where one is broken.

    \b
    Examples:
      adatok-bench check my_tokenizer.py:make --argument weights=w.pth
      adatok-bench check package.module:make --python ../its/bin/python
      adatok-bench check my_suite.yaml --arm theirs
    """
    from bench.external.contract import examine
    from bench.external.examples import photographs, scenes

    given = bool(arguments) or python is not None
    if tokenizer.endswith((".yaml", ".yml")):
        _refuse(given, "--argument and --python: the suite says them; leave them out")
        subject = _of_suite(tokenizer, arm, device)
    else:
        _refuse(arm is not None, "--arm: is that of a suite file; give one, or leave it out")
        if Path(tokenizer).is_dir():
            _refuse(given, "--argument and --python: an exported model has none; leave them out")
            subject = _of_export(Path(tokenizer), device)
        else:
            subject = _of_factory(tokenizer, arguments, python, device)
    side = subject.resolution
    images = scenes(side) if folder is None else photographs(Path(folder), side)
    findings = []
    for finding in examine(subject, images):
        findings.append(finding)
        if not as_json:
            click.echo(str(finding))
    if as_json:
        print_json([asdict(finding) for finding in findings])
    if any(finding.status == "FAILED" for finding in findings):
        sys.exit(1)


def _refuse(wrong: bool, message: str) -> None:
    if wrong:
        raise UserError(message)


def _of_factory(
    factory: str, arguments: tuple[str, ...], python: str | None, device: str
) -> Subject:
    from bench.config.settings import parse
    from bench.config.tokenizers import ExternalTokenizer

    raw: dict[str, Any] = {"factory": factory, "arguments": arguments_of(arguments)}
    raw["python"] = python
    return _foreign(parse(ExternalTokenizer, raw, where="TOKENIZER"), device)


def _foreign(settings: Any, device: str) -> Subject:
    """A tokenizer that is not trained here; those of factories before anything is checked."""
    from bench.config.tokenizers import ExternalTokenizer, foreign_kind
    from bench.external.adapter import make_external
    from bench.external.guest import MissingFileError
    from bench.external.subject import foreign_subject, own_subject

    made: Any
    if isinstance(settings, ExternalTokenizer):
        made = functools.partial(make_external, settings, folder=os.getcwd(), device=device)
    else:
        build = foreign_kind(settings.kind).load()
        made = functools.partial(build, settings, folder=os.getcwd(), device=device)
    try:
        if isinstance(settings, ExternalTokenizer):
            return foreign_subject(made)
        return own_subject(made, device=device)
    except MissingFileError as error:
        raise UserError(str(error)) from None


def _of_suite(path: str, arm: str | None, device: str) -> Subject:
    from bench.config.tokenizers import ForeignTokenizer

    cells = load(path).cells
    arms = list(dict.fromkeys(cell.arm for cell in cells))
    if arm is None and len(arms) > 1:
        raise UserError(f"{path}: has several arms; give --arm, one of {', '.join(arms)}")
    arm = arm or arms[0]
    if arm not in arms:
        raise UserError(f"{path}: has no arm '{arm}'{suggestion(arm, arms)}")
    settings = next(cell for cell in cells if cell.arm == arm).config.tokenizer
    if not isinstance(settings, ForeignTokenizer):
        raise UserError(
            f"{path}: the tokenizer of arm '{arm}' is trained here; run the suite, export it, and "
            "give the folder"
        )
    return _foreign(settings, device)


def _of_export(folder: Path, device: str) -> Subject:
    from bench.external.subject import own_subject
    from bench.models.exported_model import ExportedModel

    return own_subject(lambda: ExportedModel.load(folder, device=device).tokenizer, device=device)
