"""How a command ends: one line for whoever reads it, and an exit code for whoever scripts it."""

from __future__ import annotations

import logging
import os
import re
import signal
import sys
import tempfile
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from types import FrameType

import click

from adatok_core.registry import RegistryError
from bench.commands.support.shared import say
from bench.errors import UserError
from bench.files import write_text
from bench.store.stopping import ask_to_stop
from bench.store.store import DISK_ERRORS, disk_error

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
BAD_INPUT, CRASHED, PIPE_CLOSED = 2, 70, 141
CODES = (
    "Exit codes: 0 done; 1 a cell failed, B is worse, or numbers do not stand; 2\n"
    "bad input; 70 a fault of adatok-bench; 130 interrupted; 143 terminated."
)
INTERRUPTION = "interrupted; the same command goes on from here"


class PipeClosed(Exception):
    """Whoever reads the output has read enough."""


class Interrupted(Exception):
    """Ctrl-C, or a signal that does the same."""


def ended(command: Callable[[], object], store: Callable[[], str | None]) -> int:
    """Run a command, and give its exit code; every expected end is one line at most.

    `store` is asked, after a crash, for the store that the command was about.
    """

    def place() -> Path | None:
        path = store()
        return None if path is None else Path(os.path.expanduser(path)).absolute()

    received: list[int] = []
    try:
        with signals_as_interrupts(received), warnings_kept_back():
            command()
            sys.stdout.flush()
            return 0
    except (UserError, RegistryError) as error:
        say(f"error: {error}")
    except click.ClickException as error:
        error.show()
    except (click.Abort, Interrupted, KeyboardInterrupt):
        say("\n" * sys.stderr.isatty() + INTERRUPTION)  # Terminals show ^C.
        return 128 + (received or [signal.SIGINT])[0]
    except (PipeClosed, BrokenPipeError):
        return _silently(PIPE_CLOSED)
    except Exception as error:
        if isinstance(error, OSError) and error.errno in DISK_ERRORS:
            say(f"error: {disk_error(place(), error)}")
            return BAD_INPUT
        lines = str(error).strip().splitlines() or ["no message"]
        say(
            f"error: adatok-bench has crashed ({type(error).__name__}: "
            f"{_without_passwords(lines[0])}); this is its fault, not yours; please report it with "
            f"{_written_down(place())}"
        )
        return CRASHED
    return BAD_INPUT


def _silently(code: int) -> int:
    """Give the code, after which Python complains of nothing that it could not write."""
    silence = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(silence, stream.fileno())
    return code


@contextmanager
def signals_as_interrupts(received: list[int]) -> Iterator[None]:
    """Make of SIGTERM and SIGHUP what Ctrl-C is, unless they are ignored, as under nohup.

    Where a stage runs that can leave a checkpoint, the first one asks it to. `received` gets their
    numbers: Ray makes a new exception of the one that is raised here.
    """

    def interrupt(number: int, frame: FrameType | None) -> None:
        received.append(number)
        if not ask_to_stop():
            raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def warnings_kept_back() -> Iterator[None]:
    """Show no warnings of libraries, which whoever reads cannot act on; `python -W` shows them.

    Ours are lines of their own that begin with `warning: `.
    """
    if sys.warnoptions:
        yield
        return
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    root, nowhere = logging.getLogger(), logging.NullHandler()
    root.addHandler(nowhere)  # Without any handler, Python writes logged warnings to stderr.
    show = warnings.showwarning
    warnings.showwarning = lambda *told, **more: None
    try:
        yield
    finally:
        warnings.showwarning = show
        root.removeHandler(nowhere)


def _without_passwords(text: str) -> str:
    return re.sub(r"//[^/@\s]+@", "//***@", text)


def _written_down(store: Path | None) -> str:
    """The file with the traceback of the exception that is handled."""
    text = _without_passwords(f"{sys.argv}\n\n{traceback.format_exc()}")
    name = f"{datetime.now():%Y-%m-%dT%H-%M-%S}-{os.getpid()}.txt"
    places = [Path(tempfile.gettempdir()) / f"adatok-bench-crash-{name}"]
    if store is not None and store.is_dir():
        places.insert(0, store / "crashes" / name)
    for place in places:
        try:
            write_text(place, text)
        except OSError:
            continue
        return str(place)
    return f"this:\n{text}"
