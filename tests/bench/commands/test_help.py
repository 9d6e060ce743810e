import re
import shlex
import subprocess
import sys

import click
import pytest

from bench.commands.cli import cli
from bench.commands.support.sections import OTHER, SECTIONS

COMMANDS = sorted(cli.commands)


def is_own(name):
    return cli.commands[name].callback.__module__.startswith("bench.")


def help_of(*names):
    context = click.Context(cli, info_name="adatok-bench", max_content_width=80)
    command = cli
    for name in names:
        command = command.commands[name]
        context = click.Context(command, info_name=name, parent=context, max_content_width=80)
    return command.get_help(context)


def examples_of(text):
    _, _, behind = text.partition("  Examples:\n")
    return re.findall(r"^    (adatok-bench .*)$", behind.split("\n\n")[0], re.MULTILINE)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_examples_that_parse_and_fits_80_columns(name):
    text = help_of(name)
    assert max(map(len, text.splitlines())) <= 80
    examples = examples_of(text)
    assert examples
    for example in examples:
        program, command, *arguments = shlex.split(re.split(r" >>? ", example)[0])
        assert (program, command) == ("adatok-bench", name)
        # Raises where an option or an argument does not exist; runs nothing.
        cli.commands[name].make_context(name, arguments, resilient_parsing=False)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_and_command_says_what_it_does(name):
    command = cli.commands[name]
    assert command.help
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.name


def test_the_help_of_all_shows_each_command_once_under_a_heading():
    text = help_of()
    assert max(map(len, text.splitlines())) <= 80
    placed = [name for names in SECTIONS.values() for name in names]
    assert len(placed) == len(set(placed))
    for name in COMMANDS:
        assert len(re.findall(rf"^  {name}  ", text, re.MULTILINE)) == 1
    for title in SECTIONS:
        assert f"\n{title}:\n" in text
    assert OTHER not in text
    assert examples_of(text)
    cut = re.findall(r"^  (\w+)  .*\.\.\.$", text, re.MULTILINE)
    assert not [name for name in cut if is_own(name)]


def test_a_command_without_a_place_is_shown_last():
    added = click.Command("odd", help="Does something odd.")
    cli.add_command(added)
    try:
        assert f"\n{OTHER}:\n  odd" in help_of()
    finally:
        del cli.commands["odd"]


def test_help_and_looking_need_nothing_slow(small_run):
    """Neither torch nor Ray nor MLflow, whose imports take seconds."""
    path, store = small_run.suite.path, small_run.store.root
    commands = [
        ["--help"],
        ["list", "quantizers"],
        ["plan", path, "--store", store],
        ["results", "small", "--store", store],
        ["validate", path],
        ["completion", "bash"],
    ]
    code = f"""
import sys
from bench.commands.cli import cli
for arguments in {[list(map(str, one)) for one in commands]!r}:
    try:
        cli.main(arguments, standalone_mode=False)
    except SystemExit:
        pass
print([n for n in ('torch', 'ray', 'mlflow', 'matplotlib') if n in sys.modules], file=sys.stderr)
"""
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    assert answer.stderr.strip() == "[]"


def test_help_alone_needs_neither_pandas_nor_pydantic():
    code = """
import sys
from bench.commands.cli import cli
cli.main(['--help'], standalone_mode=False)
print([n for n in ('pandas', 'pydantic', 'numpy', 'scipy', 'rich') if n in sys.modules])
"""
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert answer.stdout.splitlines()[-1] == "[]", answer.stderr
