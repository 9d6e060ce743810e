"""The model card of an exported cell: what it is, how it was made, what it can and cannot do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jinja2
import numpy as np

from bench.artifacts.foreign import ForeignSettings
from bench.config.settings import plain
from bench.data.image_set import FluentScenes
from bench.metrics.declared import METRICS
from bench.records.groups import Group, repetition_name, repetition_seed
from bench.records.per_image import image_values
from bench.records.reading import read_records
from bench.records.record import Record
from bench.records.tables import as_markdown, escaped, format_value
from bench.statistics.bootstrap import paired_bootstrap
from bench.store.store import Store

TEMPLATE = "model_card.md.jinja"
# Timings are of the machine, not of the model.
UNTOLD = ("encode_images_per_second", "decode_images_per_second")
SHARE = "share/tokens_"


def model_card(
    record: Record, store: Store, *, sums: dict[str, str], foreign: ForeignSettings | None = None
) -> str:
    """The card of a finished cell as Markdown; `sums` are the SHA-256 of the exported files.

    `foreign` is the tokenizer where it was not trained here.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    filters: dict[str, Callable[..., str]] = {
        "described": lambda value: escaped(described(value)),
        "escaped": escaped,
        "table": as_markdown,
        "value": format_value,
    }
    environment.filters |= filters
    return environment.get_template(TEMPLATE).render(
        record=record,
        config=record.config,
        resolution=record.config.data.resolution,
        with_images=isinstance(record.config.data, FluentScenes),
        image_sets=_image_sets(record, store),
        seconds=sum(one.seconds for one in record.stages if one.stage != "data"),
        metrics=_metrics(record, store),
        budgets=_budgets(record),
        foreign=foreign and _foreign(foreign),
        files=[{"file": name, "SHA-256": sha} for name, sha in sorted(sums.items())],
    )


def _foreign(settings: ForeignSettings) -> dict[str, Any]:
    """Its factory, folder and code, and rows of its arguments, those of files with their hash."""
    placed, identity = settings.placed(), settings.identity
    known = identity.get("arguments", {})
    rows = []
    for name, value in placed.get("arguments", {}).items():
        content = known.get(name)
        sha256 = content.get("sha256") if isinstance(content, dict) else None
        rows.append({"argument": name, "value": described(value), "SHA-256": sha256})
    return {
        "name": placed.get("factory", placed["kind"]),
        "folder": settings.folder,
        "code": identity.get("code", {}),
        "arguments": rows,
    }


def _image_sets(record: Record, store: Store) -> list[dict[str, Any]]:
    keys = [one.key for one in record.stages if one.stage == "data"]
    return [store.description("data", key) for key in keys if store.has("data", key)]


def _metrics(record: Record, store: Store) -> list[dict[str, Any]]:
    current = read_records(store.root / "records" / record.suite)
    others = current if record in current else [record]
    group = Group(record.group, tuple(o for o in others if o.group == record.group and o.done))
    rows = []
    for name, value in record.metrics.root.items():
        if name in METRICS and METRICS[name].judged and name not in UNTOLD and value is not None:
            interval, over = _interval(name, record, group, store)
            caption = METRICS[name].caption
            rows.append({"metric": caption, "value": value, "95 % interval": interval, "of": over})
    return rows


def _interval(
    name: str, record: Record, group: Group, store: Store
) -> tuple[str | None, str | None]:
    """An interval of a metric, and what it is of; None where none is known.

    Over seeds where the `group` has repetitions of the cell, else over images, where the metric is
    known for each of them.
    """
    low, high = (record.metrics.root.get(f"{name}_{end}") for end in ("low", "high"))
    if low is not None and high is not None:
        return _bounds(low, high), "this cell, disjoint blocks of images"
    seeds = group.interval(name)
    if seeds is not None and seeds.n > 1 and seeds.low < seeds.high:
        what = repetition_name(repetition_seed(group.records))
        return _bounds(seeds.low, seeds.high), f"the mean over {seeds.n} {what} (Student t)"
    try:
        fixed = record.metrics.value("max_tokens") if record.allocator == "fixed" else None
        values = image_values(record, store.root, name, None if fixed is None else int(fixed))
    except ValueError:
        return None, None
    images = paired_bootstrap(values, np.random.default_rng(0))
    return _bounds(images.low, images.high), f"this cell over {images.n} images (BCa bootstrap)"


def _bounds(low: float, high: float) -> str:
    return f"[{format_value(float(low))}, {format_value(float(high))}]"


def _budgets(record: Record) -> list[dict[str, Any]]:
    """Shares of images by budget; none where every image has the same."""
    shares = {
        int(name.removeprefix(SHARE)): share
        for name, share in record.metrics.root.items()
        if name.startswith(SHARE)
    }
    return [
        {"token budget": budget, "share of images": share}
        for budget, share in sorted(shares.items())
    ]


def described(value: Any) -> str:
    """Settings in a line, those that are off left out."""
    value = plain(value)
    if isinstance(value, dict):
        kind = [str(value["kind"])] if "kind" in value else []
        parts = [
            f"{name} ({described(one)})" if isinstance(one, dict) else f"{name} {described(one)}"
            for name, one in value.items()
            if name != "kind" and one is not None
        ]
        return ", ".join(kind + parts)
    if isinstance(value, list):
        return "-".join(map(str, value))
    return str(value)
