"""`adatok-bench`: the command line. Results on stdout, progress on stderr.

Exit codes: 0 done, 1 a cell failed or a comparison found something worse, 2 bad input or
environment, or what cannot be compared, 130 interrupted.
"""

from __future__ import annotations

import io
import logging
import os
import sys
from importlib.metadata import entry_points
from pathlib import Path

import click

from adatok_core.registry import RegistryError
from bench.commands.compare import compare
from bench.commands.completion import completion
from bench.commands.decode import decode
from bench.commands.encode import encode
from bench.commands.export import export
from bench.commands.listing import listing
from bench.commands.plan import plan
from bench.commands.results import results
from bench.commands.run import run
from bench.commands.sections import Sections
from bench.commands.shared import say
from bench.commands.sync import sync
from bench.commands.ui import ui
from bench.commands.validate import validate
from bench.errors import UserError
from bench.store.store import DISK_ERRORS, disk_error

# Commands of the packages above the harness, which it does not know.
COMMANDS = "adatok_bench.commands"


@click.group(cls=Sections, context_settings={"help_option_names": ["-h", "--help"]})
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
    *(listing, completion, validate, plan, run, results, compare, ui, sync),
    *(export, encode, decode),
):
    cli.add_command(command)
for point in entry_points(group=COMMANDS):
    cli.add_command(point.load())


def main() -> None:
    """The console script: every expected error is one line and exit code 2."""
    _leave_out_settings_of_others()
    try:
        cli.main(standalone_mode=False)
    except (UserError, RegistryError) as error:
        say(f"error: {error}")
        sys.exit(2)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        say("interrupted; the same command goes on from here")
        sys.exit(130)
    except OSError as error:
        if error.errno not in DISK_ERRORS:
            raise
        say(f"error: {disk_error(Path(error.filename or '.'), error)}")
        sys.exit(2)


def _leave_out_settings_of_others() -> None:
    """What users set for their own figures and terminal neither stops a command nor changes it."""
    os.environ |= {"MPLBACKEND": "agg", "MATPLOTLIBRC": os.devnull}
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # A terminal that lacks a sign gets its number.
            stream.reconfigure(errors="backslashreplace")
