"""Reaching MLflow: where it is, its settings, and what its failures are called."""

from __future__ import annotations

import functools
import logging
import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, cast
from urllib.parse import quote, unquote, urlsplit

from bench.errors import UserError
from bench.files import impossible_path
from bench.store.store import Store
from bench.tracker.database import make_whole
from bench.tracker.patience import Patient

if TYPE_CHECKING:
    from mlflow import MlflowClient

SQLITE = "sqlite:///"
_DATABASES = ("postgresql", "mysql", "mssql")
MLFLOW_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_LOGGING_LEVEL": "CRITICAL",  # Failures are one line of ours.
}


class TrackerError(UserError):
    """MLflow could not be brought up to date; the records are as complete as before."""


def tracking_uri(store: Store, given: str | None = None) -> str:
    """The address that is `given`, or else of the store's own database.

    Raises:
        UserError: MLflow has no addresses like the one that is given.
    """
    if given is None:
        path = str(store.root / "mlflow.db")
        # MLflow makes the folder that it sees in an address, before what is quoted there is read.
        return SQLITE + (quote(path, safe="") if {"%", "?"} & {*path} else path)
    scheme, _, rest = given.partition("://")
    if scheme == "sqlite" and rest.startswith("/~"):
        given = SQLITE + os.path.expanduser(rest[1:])
    elif scheme in ("http", "https"):
        try:
            rest = "" if urlsplit(given).port == 0 else urlsplit(given).hostname or ""
        except ValueError:
            rest = ""
    known = scheme in ("http", "https", "sqlite") or scheme.partition("+")[0] in _DATABASES
    if not known or not rest.strip("/") or " " in scheme + rest or not given.isprintable():
        raise UserError(
            f"--tracking-uri {shown_uri(given)}: is no address of MLflow; give http://HOST:PORT, "
            f"or {SQLITE}/absolute/path.db"
        )
    file = database_file(given)
    reason = None if file is None else impossible_path(file)
    if reason is not None:
        raise UserError(f"--tracking-uri {given}: {reason}; give another path")
    return given


def database_file(uri: str) -> Path | None:
    """The file of a tracker that is one."""
    return Path(unquote(uri.removeprefix(SQLITE))) if uri.startswith(SQLITE) else None


def shown_uri(text: str) -> str:
    """Text with addresses, for people: without names of users, passwords and tokens."""
    text = re.sub(r"(?<=://)\S*@", "***@", text)
    return re.sub(
        r"(?i)([?&][^=&\s]*(?:passw|pwd|token|secret|key)[^=&\s]*=)[^&\s]*", r"\1***", text
    )


@contextmanager
def connected(uri: str, *, abandoned: threading.Event | None = None) -> Iterator[MlflowClient]:
    """A client of the tracker at `uri`, until it is `abandoned`; raises as `in_one_line`."""
    with in_one_line(uri):
        os.environ.update(MLFLOW_ENVIRONMENT)
        # Its announcement of a new database is no news to whoever reads a run's progress.
        logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)
        make = functools.partial(_client, uri)
        yield cast("MlflowClient", Patient(make, abandoned=abandoned))


def _client(uri: str) -> MlflowClient:
    from mlflow import MlflowClient

    database = database_file(uri)
    if database is not None:
        make_whole(database)
    return MlflowClient(tracking_uri=uri)


@contextmanager
def in_one_line(uri: str) -> Iterator[None]:
    """Tell whatever goes wrong inside of the tracker at `uri` as a `TrackerError`."""
    try:
        yield
    except Exception as error:  # MLflow and its back ends raise nearly anything.
        # SQLAlchemy puts how it came to a statement before what is wrong with it.
        told = str(error).strip().splitlines()
        lines = [line for line in told if not line.startswith("(raised as a result of")]
        reason = lines[0] if lines else type(error).__name__
        raise TrackerError(shown_uri(f"MLflow at {uri} was not updated ({reason})")) from error
