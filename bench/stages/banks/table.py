"""The table of a bank: a row per image and budget, written block by block."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bench.stages.banks.taken import TakenImages

IMAGES_PER_BLOCK = 4096


def write_table(
    path: Path, images: TakenImages, budgets: Sequence[int], metrics: Mapping[str, np.ndarray]
) -> None:
    """Write the rows of the image set's table, each once per budget with its `metrics [n, M]`."""
    table = images.images.table
    schema = pa.Schema.from_pandas(table, preserve_index=False)
    whole = schema.append(pa.field("budget", pa.int64()))
    for name, values in metrics.items():
        whole = whole.append(pa.field(name, pa.from_numpy_dtype(values.dtype)))
    with pq.ParquetWriter(path, whole) as writer:
        for first in range(0, images.count, IMAGES_PER_BLOCK):
            last = min(first + IMAGES_PER_BLOCK, images.count)
            rows = table.iloc[images.rows[first:last].repeat(len(budgets))]
            block = pa.Table.from_pandas(rows, schema=schema, preserve_index=False)
            columns = [*block.columns, pa.array(np.tile(budgets, last - first), pa.int64())]
            columns += [pa.array(values[first:last].ravel()) for values in metrics.values()]
            writer.write_table(pa.Table.from_arrays(columns, schema=whole))
