"""The model card of an exported cell: what it is, how it was made, what it can and cannot do."""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.metrics.declared import METRICS
from bench.records.groups import Group, Record, repetition_name, repetition_seed
from bench.records.per_image import image_values
from bench.records.reading import read_records
from bench.records.tables import as_markdown, format_value
from bench.statistics.bootstrap import paired_bootstrap
from bench.store.store import Store

# Timings are of the machine, not of the model.
UNTOLD = ("encode_images_per_second", "decode_images_per_second")
FLUENT = (
    "The scenes it was trained on are composed of Microsoft's Fluent emoji, under the MIT License "
    "(NOTICE). No image is part of the weights' files."
)
OWN = (
    "It was trained on a folder of images of whoever trained it; their licence is not known to "
    "adatok-bench. No image is part of the weights' files."
)


def model_card(record: Record, store: Store, *, sums: dict[str, str]) -> str:
    """The card of a finished cell as Markdown; `sums` are the SHA-256 of the exported files."""
    sections = {
        f"{record['suite']}: {record['label']}": _what(record),
        "Use": _use(record),
        "How it was trained": _training(record, store),
        "Metrics": _metrics(record, store),
        "Budgets": _budgets(record),
        "Protocol": _protocol(record),
        "Limits": _limits(record),
        "Licence of the images": _licence(record),
        "Files": _files(sums),
    }
    (title, first), *rest = sections.items()
    parts = [f"# {title}\n\n{first}", *(f"## {name}\n\n{text}" for name, text in rest)]
    return "\n\n".join(parts) + "\n"


def _what(record: Record) -> str:
    shape, data = record["settings"]["tokenizer"], record["settings"]["data"]
    budgets = ", ".join(map(str, shape["budgets"]))
    size = data["resolution"]
    lines = [
        f"An image tokenizer of {record['tokenizer_parameters']:,} parameters for images of "
        f"{size} x {size} px: encoding {shape['encoding']}, candidate budgets {budgets}, "
        f"{record['metrics']['bits_per_token']:g} bits per token "
        f"({_described(shape['quantizer'])})."
    ]
    if record["settings"]["policy"] is not None:
        lines.append("A policy gives each image its token budget.")
    elif record["settings"]["allocator"] is not None:
        lines.append(
            f"The cell's allocator ({_described(record['settings']['allocator'])}) is not learned "
            "and not exported: only the tokenizer is."
        )
    return " ".join(lines)


def _use(record: Record) -> str:
    budget = "" if record["settings"]["policy"] else " --budget K"
    return (
        "```\n"
        f"adatok-bench encode IMAGES --model . --out tokens.parquet{budget}\n"
        "adatok-bench decode tokens.parquet --model . --out RECONSTRUCTIONS\n"
        "adatok-bench run config.yaml    # trains it again\n"
        "```"
    )


def _training(record: Record, store: Store) -> str:
    settings, made = record["settings"], record["provenance"]
    lines = [f"Images: {_described(settings['data'])}."]
    for stage in record["stages"]:
        if stage["stage"] == "data" and store.has("data", stage["key"]):
            told = store.description("data", stage["key"])
            lines.append(
                f"Digest of the {told['result']['count']} {told['config']['split']} images: "
                f"`{told['result']['digest']}`."
            )
    lines.append(f"Tokenizer: {_described(settings['training'])}; the weights are the EMA.")
    if settings["finetuning"] is not None:
        lines.append(f"Fine-tuning: {_described(settings['finetuning'])}.")
    if settings["policy"] is not None:
        lines.append(f"Policy: {_described(settings['policy'])}.")
    dirty = ", with uncommitted changes" if made.get("git_dirty") else ""
    lines.append(
        f"Code: commit `{made.get('git_commit')}`{dirty}; torch "
        f"{made.get('packages', {}).get('torch')}; {made.get('platform')}."
    )
    seconds = sum(one["seconds"] for one in record["stages"] if one["stage"] != "data")
    lines.append(f"All its stages together took {seconds:.0f} s.")
    return "\n".join(f"- {line}" for line in lines)


def _metrics(record: Record, store: Store) -> str:
    rows = []
    for name, value in record["metrics"].items():
        if name in METRICS and METRICS[name].judged and name not in UNTOLD and value is not None:
            interval, over = _interval(name, record, store)
            rows.append(
                {
                    "metric": METRICS[name].caption,
                    "value": value,
                    "95 % interval": interval,
                    "of": over,
                }
            )
    return as_markdown(rows)


def _interval(name: str, record: Record, store: Store) -> tuple[str | None, str | None]:
    """An interval of a metric, and what it is of; None where none is known.

    Over seeds where the suite has repetitions of the cell, else over images, where the metric is
    known for each of them.
    """
    low, high = (record["metrics"].get(f"{name}_{end}") for end in ("low", "high"))
    if low is not None and high is not None:
        return _bounds(low, high), "this cell, disjoint blocks of images"
    folder = store.root / "records" / record["suite"]
    like = [
        other
        for other in read_records(folder)
        if other["group"] == record["group"] and other["status"] == "done"
    ]
    group = Group(record["group"], tuple(like))
    seeds = group.interval(name)
    if seeds is not None and seeds.n > 1 and seeds.low < seeds.high:
        what = repetition_name(repetition_seed(group.records))
        return _bounds(seeds.low, seeds.high), f"the mean over {seeds.n} {what} (Student t)"
    try:
        budget = None if record["allocator"] != "fixed" else record["metrics"]["max_tokens"]
        values = image_values(record, store.root, name, budget)
    except ValueError:
        return None, None
    images = paired_bootstrap(values, np.random.default_rng(0))
    return _bounds(images.low, images.high), f"this cell over {images.n} images (BCa bootstrap)"


def _bounds(low: float, high: float) -> str:
    return f"[{format_value(float(low))}, {format_value(float(high))}]"


def _budgets(record: Record) -> str:
    shares = {
        int(name.rsplit("_", 1)[1]): share
        for name, share in record["metrics"].items()
        if name.startswith("share/tokens_")
    }
    if not shares:
        return f"The metrics are those of {record['metrics']['max_tokens']} tokens for every image."
    mean = format_value(record["metrics"]["mean_tokens"])
    rows = [
        {"token budget": budget, "share of images": share}
        for budget, share in sorted(shares.items())
    ]
    collapsed = " It gives all images one budget." * bool(record["metrics"].get("collapsed"))
    return f"On the validation images, {mean} tokens on average.{collapsed}\n\n{as_markdown(rows)}"


def _protocol(record: Record) -> str:
    lines = [f"- {name}: {_described(value)}" for name, value in record["protocol"].items()]
    return "\n".join([f"- hash: `{record['protocol_hash']}`", *lines])


def _limits(record: Record) -> str:
    size = record["settings"]["data"]["resolution"]
    lines = [
        f"Images are reduced to {size} x {size} px: shorter side to the resolution, then the "
        "centre. What lies outside is lost.",
        "Metrics hold for the validation images of its own data; of other images nothing is known.",
        "Numbers of tokens that training never drew are served by the next larger head.",
    ]
    lines += [
        "Nothing is called FID: the Fréchet distances use the networks named in the protocol."
    ] * ("rfid" not in record["metrics"])
    return "\n".join(f"- {line}" for line in lines)


def _licence(record: Record) -> str:
    return FLUENT if record["settings"]["data"]["kind"] == "fluent_scenes" else OWN


def _files(sums: dict[str, str]) -> str:
    rows = [{"file": name, "SHA-256": sha} for name, sha in sorted(sums.items())]
    return as_markdown(rows)


def _described(value: Any) -> str:
    """Settings in a line, those that are off left out."""
    if isinstance(value, dict):
        kind = [str(value["kind"])] if "kind" in value else []
        parts = [
            f"{name} ({_described(one)})" if isinstance(one, dict) else f"{name} {_described(one)}"
            for name, one in value.items()
            if name != "kind" and one is not None
        ]
        return ", ".join(kind + parts)
    if isinstance(value, list):
        return "-".join(map(str, value))
    return str(value)
