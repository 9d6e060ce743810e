"""Making the tokenizer of someone else, here or elsewhere; errors of its are one line."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

import numpy as np

from bench.config.settings import parse
from bench.errors import UserError
from bench.external import host
from bench.external.protocol import Description

SECONDS_TO_END = 5.0


class MissingFileError(Exception):
    """A file that a tokenizer needs is not there: its cells fail, others go on."""


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where a tokenizer comes from; `folder` is what relative paths and modules are relative to.

    `factory` names a module, or a file, and a function.
    """

    factory: str
    arguments: dict[str, Any]
    python: str | None
    folder: str

    @property
    def where(self) -> str:
        """For messages."""
        return f"tokenizer {self.factory}"


class Guest(Protocol):
    """A tokenizer that has been made."""

    @property
    def description(self) -> Description:
        """Its own description."""

    @property
    def alive(self) -> bool:
        """Whether it can be called still."""

    def call(self, method: str, array: np.ndarray, **further: Any) -> list[np.ndarray]:
        """Arrays that `encode` or `decode` gives.

        Raises:
            UserError: whatever it raises itself.
        """


def invite(origin: Origin, *, device: str = "cpu") -> Guest:
    """Make a tokenizer.

    Raises:
        MissingFileError: a file that its factory wants is not there.
        UserError: it cannot be imported or made, or describes itself wrongly.
    """
    kind = LocalGuest if origin.python is None else RemoteGuest
    return kind(origin, device)


def source_of(origin: Origin) -> dict[str, str]:
    """Identity of the factory's code; see `bench.external.host.source_of`.

    Raises:
        UserError: there is no such module or file, under its interpreter.
    """
    if origin.python is not None:
        return RemoteGuest.source(origin)
    try:
        return host.source_of(origin.factory, origin.folder)
    except host.Theirs as error:  # Whatever happens when its package is imported.
        raise _refused(origin, "cannot be imported", error) from error


class LocalGuest:
    """A tokenizer in this process; what it prints goes to stderr, as results are on stdout."""

    alive = True

    def __init__(self, origin: Origin, device: str):
        self.origin, self.device = origin, device
        with contextlib.redirect_stdout(sys.stderr):
            try:
                self.hosted = host.make(origin.factory, origin.arguments, origin.folder, device)
            except FileNotFoundError as error:
                raise MissingFileError(f"{origin.where}: {host.told_of(error)}") from error
            except host.Theirs as error:
                raise _refused(origin, "cannot be made", error) from error
            try:
                told = host.describe(self.hosted)
            except host.Theirs as error:
                raise _refused(origin, "cannot describe itself", error) from error
        self.description = parse(Description, told, where=f"{origin.where}: describe()")

    def call(self, method: str, array: np.ndarray, **further: Any) -> list[np.ndarray]:
        """Arrays of `encode` or `decode`, which may do what they like with a copy of theirs."""
        further |= {"torch": self.description.arrays == "torch", "device": self.device}
        try:
            with contextlib.redirect_stdout(sys.stderr):
                return host.call(self.hosted, method, array.copy(), **further)
        except host.Theirs as error:
            raise _refused(self.origin, f"{method} failed", error) from error


class RemoteGuest:
    """A tokenizer under its own interpreter, at the other end of two pipes.

    Its process ends with this object, and with whatever leaves a question without its answer.
    """

    def __init__(self, origin: Origin, device: str):
        self.origin, self.device = origin, device
        self._start()
        told, _ = self._ask(
            "cannot be made",
            do="make",
            name=origin.factory,
            arguments=origin.arguments,
            folder=origin.folder,
            device=device,
        )
        self.description = parse(Description, told, where=f"{origin.where}: describe()")

    @classmethod
    def source(cls, origin: Origin) -> dict[str, str]:
        """Identity of the factory's code under its interpreter."""
        asker = cls.__new__(cls)
        asker.origin = origin
        asker._start()
        found, _ = asker._ask(
            "cannot be imported", do="source", name=origin.factory, folder=origin.folder
        )
        asker._end()
        return dict(found)

    @property
    def alive(self) -> bool:
        """Whether its process is still there."""
        return self._end.alive and self._process.poll() is None

    def call(self, method: str, array: np.ndarray, **further: Any) -> list[np.ndarray]:
        """Arrays of `encode` or `decode`."""
        _, arrays = self._ask(
            f"{method} failed",
            array,
            do="call",
            method=method,
            torch=self.description.arrays == "torch",
            device=self.device,
            **further,
        )
        return arrays

    def _start(self) -> None:
        self._said: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115
        self._process = _process(self.origin, self._said)
        self._end = weakref.finalize(self, _stop, self._process, self._said)
        self._answer(f"tokenizer.python: {self.origin.python}: is no Python with numpy that starts")

    def _ask(self, failed: str, *arrays: np.ndarray, **message: Any) -> tuple[Any, list[Any]]:
        where = self.origin.where
        answer, given = self._answer(f"{where}: {failed}", *arrays, **message)
        if "error" in answer:
            if answer.get("missing") and message["do"] == "make":
                raise MissingFileError(f"{where}: {answer['error']}")
            raise UserError(f"{where}: {failed}: {answer['error']}")
        return answer.get("found"), given

    def _answer(
        self, failed: str, *arrays: np.ndarray, **message: Any
    ) -> tuple[dict[str, Any], list[np.ndarray]]:
        """The answer to a message, or what it says unasked, of itself, when it has started."""
        process = self._process
        if not self._end.alive:
            raise UserError(f"{failed}: its process ended before")
        assert process.stdin is not None, "opened as a pipe"
        assert process.stdout is not None, "opened as a pipe"
        try:
            if message:
                host.send(process.stdin, message, list(arrays))
            return host.receive(process.stdout)
        except (EOFError, OSError):
            ended = f"its process {_ending(process)}{self._last_words()}"
            self._end()
            raise UserError(f"{failed}: {ended}") from None
        except (ValueError, MemoryError) as error:
            self._end()
            nonsense = f"its process answers nonsense: {error or 'too large'}"
            raise UserError(f"{failed}: {nonsense}") from None
        except BaseException:  # Its answer would be taken for that to the next question.
            self._end()
            raise

    def _last_words(self) -> str:
        self._said.seek(0)
        lines = self._said.read().decode(errors="replace").strip().splitlines()
        return f": {lines[-1]}" if lines else ""


def _process(origin: Origin, said: IO[bytes]) -> subprocess.Popen[bytes]:
    import torch  # It takes seconds, and identities of others need none.

    threads = str(torch.get_num_threads())
    python = os.path.expanduser(origin.python or sys.executable)
    program = str(Path(origin.folder, python)) if "/" in python else python
    try:
        return subprocess.Popen(
            [program, "-u", host.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
            cwd=origin.folder,
            env={**os.environ, "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads},
        )
    except OSError as error:
        said.close()
        raise UserError(
            f"tokenizer.python: {origin.python}: cannot be run: {error.strerror}; give the path of "
            "a Python interpreter"
        ) from None


def _ending(process: subprocess.Popen[bytes]) -> str:
    """How a process ended that answers no more."""
    try:
        code = process.wait(SECONDS_TO_END)
    except subprocess.TimeoutExpired:
        return "closed its answers and went on"
    if code < 0:
        return f"was killed by {signal.Signals(-code).name}"
    return f"ended with exit code {code}"


def _stop(process: subprocess.Popen[bytes], said: IO[bytes]) -> None:
    process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout, said):
        if stream is not None:
            with contextlib.suppress(BrokenPipeError):  # What could not be sent stays unsent.
                stream.close()


def _refused(origin: Origin, failed: str, error: BaseException) -> UserError:
    return UserError(f"{origin.where}: {failed}: {host.told_of(error)}")
