"""Tracking databases that are files; the store's own is written anew where it is damaged."""

from __future__ import annotations

import os
import shutil
import sqlite3
import sys
import tempfile
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.store.store import Store

# Tables that Alembic has only while it changes others.
_HALF_MADE = r"select count(*) from sqlite_master where name like '\_alembic\_tmp\_%' escape '\'"


def is_whole(database: Path) -> bool:
    """Whether SQLite finds its structure right, and MLflow had made all of it."""
    try:
        with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
            found: tuple[str] = connection.execute("PRAGMA quick_check").fetchone()
            return found == ("ok",) and connection.execute(_HALF_MADE).fetchone() == (0,)
    except sqlite3.DatabaseError as error:
        return "locked" in str(error)  # Whoever writes it can read it.


def make_whole(database: Path) -> None:
    """Make a database with MLflow's tables, unless there is one.

    MLflow takes many seconds for them, and can never go on in a database where it was ended in
    them. So they are made elsewhere, and are there all at once; whoever was faster stays.
    """
    if database.exists():
        return
    import sqlalchemy
    from mlflow.store.db import utils

    make_tables: Any = utils._initialize_tables
    with tempfile.TemporaryDirectory(prefix="adatok-mlflow-") as folder:
        made = Path(folder) / database.name
        write_hastily(made)
        engine = sqlalchemy.create_engine(sqlalchemy.URL.create("sqlite", database=str(made)))
        try:
            make_tables(engine)
        finally:
            engine.dispose()
        database.parent.mkdir(parents=True, exist_ok=True)
        aside = database.with_name(f".{database.name}.{os.urandom(4).hex()}")
        try:
            shutil.copyfile(made, aside)
            _place(aside, database)
        finally:
            aside.unlink(missing_ok=True)


def _place(aside: Path, database: Path) -> None:
    try:
        os.link(aside, database)
    except FileExistsError:
        return
    except OSError:  # A file system without links.
        if not database.exists():
            os.replace(aside, database)


# Databases whose writes need not reach the disk at once.
_HASTY: set[str] = set()


def write_hastily(database: Path) -> None:
    """Let this process leave it to the system when the database reaches the disk.

    Waiting for the disk takes most of a mirror's time. What a killed process had written is there
    all the same; after a power cut the view may be damaged, and is written anew.
    """
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    _HASTY.add(os.path.realpath(database))
    if not event.contains(Engine, "connect", _connect):
        event.listen(Engine, "connect", _connect)


def _connect(connection: Any, record: Any) -> None:
    if isinstance(connection, sqlite3.Connection):
        path = connection.execute("PRAGMA database_list").fetchone()[2]
        if path and os.path.realpath(path) in _HASTY:
            connection.execute("PRAGMA synchronous = OFF")


def set_aside_damaged(store: Store) -> None:
    """Move a damaged database to `damaged/`, with a line on stderr."""
    database = store.root / "mlflow.db"
    if not database.is_file() or is_whole(database):
        return
    now = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
    place = store.root / "damaged" / f"mlflow-{now}.db"
    place.parent.mkdir(exist_ok=True)
    os.replace(database, place)
    print(
        f"warning: {database} is damaged; set aside in {place}, and written anew; adatok-bench "
        "sync brings all suites back",
        file=sys.stderr,
    )
