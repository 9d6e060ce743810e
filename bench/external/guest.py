"""Making the tokenizer of someone else, here or elsewhere; errors of its are one line."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

import numpy as np
import torch

from bench.config.settings import parse
from bench.errors import UserError
from bench.external import host
from bench.external.protocol import Description


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
    except Exception as error:  # Whatever happens when its package is imported.
        raise _refused(origin, "cannot be imported", error) from error


class LocalGuest:
    """A tokenizer in this process."""

    def __init__(self, origin: Origin, device: str):
        self.origin, self.device = origin, device
        try:
            self.hosted = host.make(origin.factory, origin.arguments, origin.folder, device)
        except FileNotFoundError as error:
            raise MissingFileError(_told(origin, error)) from error
        except Exception as error:  # Whatever its code raises.
            raise _refused(origin, "cannot be made", error) from error
        try:
            told = host.describe(self.hosted)
        except Exception as error:
            raise _refused(origin, "cannot describe itself", error) from error
        self.description = parse(Description, told, where=f"{origin.where}: describe()")

    def call(self, method: str, array: np.ndarray, **further: Any) -> list[np.ndarray]:
        """Arrays of `encode` or `decode`."""
        uses_torch = self.description.arrays == "torch"
        try:
            return host.call(
                self.hosted, method, array, torch=uses_torch, device=self.device, **further
            )
        except Exception as error:
            raise _refused(self.origin, f"{method} failed", error) from error


class RemoteGuest:
    """A tokenizer under its own interpreter, at the other end of two pipes."""

    def __init__(self, origin: Origin, device: str):
        self.origin, self.device = origin, device
        self._process, self._said = _start(origin)
        self._end = weakref.finalize(self, _stop, self._process)
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
        asker._process, asker._said = _start(origin)
        try:
            found, _ = asker._ask(
                "cannot be imported", do="source", name=origin.factory, folder=origin.folder
            )
        finally:
            _stop(asker._process)
        return dict(found)

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

    def _ask(self, failed: str, *arrays: np.ndarray, **message: Any) -> tuple[Any, list[Any]]:
        process = self._process
        assert process.stdin is not None, "opened as a pipe"
        assert process.stdout is not None, "opened as a pipe"
        try:
            host.send(process.stdin, message, list(arrays))
            answer, given = host.receive(process.stdout)
        except (EOFError, OSError):
            code = process.wait()
            raise UserError(
                f"{self.origin.where}: its process ended with exit code {code}{self._last_words()}"
            ) from None
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"{self.origin.where}: its process answers nonsense: {error}") from None
        if "error" in answer:
            if answer.get("missing") and message["do"] == "make":
                raise MissingFileError(f"{self.origin.where}: {answer['error']}")
            raise UserError(f"{self.origin.where}: {failed}: {answer['error']}")
        return answer.get("found"), given

    def _last_words(self) -> str:
        self._said.seek(0)
        lines = self._said.read().decode(errors="replace").strip().splitlines()
        return f": {lines[-1]}" if lines else ""


def _start(origin: Origin) -> tuple[subprocess.Popen[bytes], IO[bytes]]:
    said = tempfile.TemporaryFile()  # noqa: SIM115
    threads = str(torch.get_num_threads())
    python = os.path.expanduser(origin.python or sys.executable)
    program = str(Path(origin.folder, python)) if "/" in python else python
    try:
        process = subprocess.Popen(
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
    return process, said


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            with contextlib.suppress(BrokenPipeError):  # What could not be sent stays unsent.
                stream.close()


def _told(origin: Origin, error: BaseException) -> str:
    reason = str(error).strip() or "no reason given"
    return f"{origin.where}: {type(error).__name__}: {reason}"


def _refused(origin: Origin, failed: str, error: BaseException) -> UserError:
    reason = str(error).strip() or "no reason given"
    return UserError(f"{origin.where}: {failed}: {type(error).__name__}: {reason}")
