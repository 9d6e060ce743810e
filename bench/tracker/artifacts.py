"""Files of a cell's run: its record, its resolved settings, tables and the gallery."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bench.records.record import Record
from bench.records.settings_paths import flatten
from bench.store.integrity import has_travelled, verified
from bench.store.store import Store
from bench.tracker.gallery import read_gallery

if TYPE_CHECKING:
    import pandas as pd
    from mlflow import MlflowClient


def log_artifacts(client: MlflowClient, run_id: str, record: Record, store: Store) -> None:
    """Log them; a record without its store has the gallery less.

    Raises:
        DamagedError: the gallery is damaged, or gone from the store.
    """
    client.log_dict(run_id, record.plain(), "record.json")
    client.log_dict(run_id, record.settings, "settings.yaml")
    for name, rows in _tables(record).items():
        if rows:
            client.log_table(run_id, _frame(rows), f"{name}.json")
    sheet = None
    if record.gallery and not has_travelled(store.root / record.gallery):
        folder = store.root / record.gallery
        verified(folder, "gallery.npy", "gallery.json", suite=record.suite)
        sheet = read_gallery(folder)
    if sheet is not None:
        client.log_image(run_id, sheet, "gallery.png")


def _tables(record: Record) -> dict[str, list[dict[str, Any]]]:
    generation, speed = record.generation, record.generation_speed
    tables = {
        "by_budget": record.curve,
        "by_length": generation.by_length if generation else (),
        "by_class": generation.by_class if generation else (),
        "throughput": speed.rows if speed else (),
    }
    return {name: [row.plain() for row in rows] for name, rows in tables.items()}


def _frame(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Rows as a table; a mapping in a row becomes columns of its own."""
    import pandas as pd  # It takes long to import, and a run with nothing to do shows nothing.

    flat = [dict(flatten(row)) for row in rows]
    table = pd.DataFrame(flat)
    # MLflow looks for texts among the columns of objects.
    texts = [name for name in table if pd.api.types.is_string_dtype(table[name])]
    return table.astype(dict.fromkeys(texts, object))
