"""A store that was moved: its tracking database names artifacts by absolute paths."""

from __future__ import annotations

import contextlib
import socket
import sqlite3
from urllib.parse import unquote, urlsplit

from bench.store.store import Store

FOLDER = "mlflow-artifacts"
_LOCATIONS = (("experiments", "artifact_location"), ("runs", "artifact_uri"))
_BUSY_SECONDS = 20.0


def artifacts(store: Store) -> str:
    """The address of the folder with the artifacts of all experiments in the store's database."""
    return (store.root / FOLDER).as_uri()


def place(store: Store) -> str:
    """The store, for people and to know whose a run is: trackers may be shared."""
    return f"{socket.gethostname()}:{store.root}"


def follow(store: Store) -> bool:
    """Let the store's own database name its artifacts where they are now; whether it did not.

    MLflow itself cannot change these locations. Tags that name the store follow too.

    Raises:
        sqlite3.Error: the database is locked by another, or is none.
    """
    path = store.root / "mlflow.db"
    if not path.is_file():
        return False
    with contextlib.closing(sqlite3.connect(path, timeout=_BUSY_SECONDS)) as database, database:
        tables = {name for (name,) in database.execute("select name from sqlite_master")}
        if "runs" not in tables:
            return False
        places = set()
        for table, column in _LOCATIONS:
            for (location,) in database.execute(
                f"select distinct {column} from {table}"
            ).fetchall():
                before, folder, rest = (location or "").rpartition(f"/{FOLDER}/")
                now = f"{artifacts(store)}/{rest}"
                if folder and before.startswith("file:") and now != location:
                    change = f"update {table} set {column} = ? where {column} = ?"
                    database.execute(change, (now, location))
                    places.add(unquote(urlsplit(before).path))
        for old in places:
            database.execute(
                "update tags set value = ? where key = 'store' and substr(value, -?) = ?",
                (place(store), len(old) + 1, f":{old}"),
            )
    return bool(places)
