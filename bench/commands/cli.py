"""`adatok-bench`: the command line. Results on stdout, progress on stderr.

`bench.commands.support.ends` has the exit codes.
"""

from __future__ import annotations

import functools
import io
import logging
import os
import sys
from importlib.metadata import entry_points
from pathlib import Path

import click

from bench.commands.models.bank import bank
from bench.commands.models.check import check
from bench.commands.models.decode import decode
from bench.commands.models.encode import encode
from bench.commands.models.export import export
from bench.commands.suites.check_store import check_store
from bench.commands.suites.compare import compare
from bench.commands.suites.listing import listing
from bench.commands.suites.plan import plan
from bench.commands.suites.results import results
from bench.commands.suites.run import run
from bench.commands.suites.shards import shards
from bench.commands.suites.sync import sync
from bench.commands.suites.ui import ui
from bench.commands.suites.validate import validate
from bench.commands.suites.verify import verify
from bench.commands.support.completion import completion
from bench.commands.support.ends import CODES, ended
from bench.commands.support.sections import Sections

# Commands of the packages above the harness, which it does not know.
COMMANDS = "adatok_bench.commands"


@click.group(
    cls=Sections,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=f"\b\n{CODES}",
)
@click.version_option(package_name="adatok-bench")
def cli() -> None:
    """Benchmark self-budgeting image tokenizers, with results you can trust.

    \b
    Examples:
      adatok-bench list suites
      adatok-bench plan experiments/quickstart.yaml
      adatok-bench run experiments/quickstart.yaml
      adatok-bench results quickstart
      adatok-bench compare quickstart:elastic lora_heads:shared
    """


for command in (
    *(listing, completion, validate, plan, run, results, compare, verify, ui, sync, check_store),
    *(check, bank, export, encode, decode, shards),
):
    cli.add_command(command)
for point in entry_points(group=COMMANDS):
    cli.add_command(point.load())


def main() -> None:
    """The console script: whatever happens is one line, and an exit code."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # Closed by whoever started it.
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115
    _leave_out_settings_of_others()
    options: dict[str, str] = {}
    command = functools.partial(cli.main, standalone_mode=False, obj=options)
    sys.exit(ended(command, lambda: options.get("store")))


def _leave_out_settings_of_others() -> None:
    """What users set for their own figures and terminal neither stops a command nor changes it."""
    os.environ |= {"MPLBACKEND": "agg", "MATPLOTLIBRC": os.devnull}
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # A terminal that lacks a sign gets its number.
            stream.reconfigure(errors="backslashreplace")
