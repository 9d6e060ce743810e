"""Files of a cell's run: its record, its resolved settings, tables and the gallery."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from bench.records.record import Record
from bench.records.settings_paths import flatten
from bench.store.integrity import has_travelled, verified
from bench.store.store import Store
from bench.tracker.gallery import read_gallery
from bench.tracker.stages import StageRun, labelled

if TYPE_CHECKING:
    import pandas as pd
    from mlflow import MlflowClient


def log_artifacts(
    client: MlflowClient,
    run_id: str,
    record: Record,
    store: Store,
    *,
    stages: Sequence[StageRun] = (),
    links: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Log them, in one go; gives tags that are to go with them.

    A record without its store has the gallery less.

    `stages` are in a table, with the addresses `links` of their runs by key. The record has no
    histories: those are the curves of these runs.

    Raises:
        DamagedError: the gallery is damaged, or gone from the store.
    """
    shown = {**record.plain(), **({"histories": {}} if record.histories else {})}
    tables = {**_tables(record), "stages": _stages(stages, links or {})}
    with tempfile.TemporaryDirectory(prefix="adatok-") as made:
        folder = Path(made)
        (folder / "record.json").write_text(json.dumps(shown, indent=1), "utf-8")
        settings = yaml.safe_dump(record.settings, sort_keys=False)
        (folder / "settings.yaml").write_text(settings, "utf-8")
        written = [name for name, rows in tables.items() if rows]
        for name in written:
            _frame(tables[name]).to_json(folder / f"{name}.json", orient="split", index=False)
        if record.gallery and not has_travelled(store.root / record.gallery):
            gallery = store.root / record.gallery
            verified(gallery, "gallery.npy", "gallery.json", suite=record.suite)
            sheet = read_gallery(gallery)
            if sheet is not None:
                sheet.save(folder / "gallery.png")
        client.log_artifacts(run_id, str(folder))
    # By this MLflow's pages know the tables among the files.
    known = [{"path": f"{name}.json", "type": "table"} for name in written]
    return {"mlflow.loggedArtifacts": json.dumps(known)} if written else {}


def _stages(stages: Sequence[StageRun], links: Mapping[str, str]) -> list[dict[str, Any]]:
    return [
        {
            "label": label,
            "stage": stage.name,
            "seconds": stage.seconds,
            "peak_memory_bytes": stage.peak_memory_bytes,
            "run": links.get(stage.key, ""),
        }
        for label, stage in labelled(stages).items()
    ]


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
    # Read back, they are texts again.
    texts = [name for name in table if pd.api.types.is_string_dtype(table[name])]
    return table.astype(dict.fromkeys(texts, object))
