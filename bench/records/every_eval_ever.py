"""Records as documents of Every Eval Ever, the schema of results that evaluations exchange.

One document per record with results (https://github.com/evaleval/every_eval_ever, version 0.3.0).
The schema asks whether lower is better: values of which neither direction is, stand among the
details of the model, with those that are not known. Whatever it asks for and a record does not
tell is `unknown`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.errors import UserError
from bench.metrics.declared import declared_metric
from bench.metrics.metric import Metric
from bench.records.parts import Value
from bench.records.record import Record
from bench.store.integrity import DamagedError, read_description

VERSION = "0.3.0"
UNKNOWN = "unknown"
LIBRARY = "adatok-bench"
# The level of every interval that a record holds.
LEVEL = 0.95
_LAST_STAGE = {"reconstruction": "evaluation", "generation": "samples", "throughput": "throughput"}
# Settings that say where files lie here, and nothing of the result.
_OF_IMAGES = ("path", "train", "validation", "classes")
_PLACES = (*(("data", name) for name in _OF_IMAGES), ("bank", "inception_weights"))


@dataclass(frozen=True)
class _Values:
    """Values of one allocation: the record's own, a control's, or those of a row of its curve.

    `about` are parameters of all its metrics; `images` is how many images they are of, None where
    they are of none.
    """

    name: str
    values: Mapping[str, Value]
    about: Mapping[str, Any]
    images: int | None


def document(
    record: Record,
    *,
    store: Path,
    retrieved: float,
    metrics: Sequence[str] = (),
    superseded: str | None = None,
) -> dict[str, Any]:
    """The document of a record that is done.

    Args:
        record: the record.
        store: its store, which knows when the evaluation was begun, if it still has it.
        retrieved: the time of the document, in seconds since 1970 (UTC).
        metrics: names of the metrics to give; all without any.
        superseded: when a run took the place of the record, if one did.
    """
    model = _model(record, metrics)
    begun = _begun(record, store)
    return {
        "schema_version": VERSION,
        "evaluation_id": f"{record.suite}/{model['id']}/{retrieved}",
        **({} if begun is None else {"evaluation_timestamp": begun}),
        "retrieved_timestamp": str(retrieved),
        "source_metadata": {
            "source_name": f"{LIBRARY} suite {record.suite}",
            "source_type": "evaluation_run",
            "source_organization_name": UNKNOWN,
            # Whoever runs a suite trains what it evaluates.
            "evaluator_relationship": "first_party",
            "additional_details": _texts(
                {
                    "suite": record.suite,
                    "question": record.question,
                    "arm": record.arm,
                    "label": record.label,
                    "group_of_repetitions": record.group,
                    "cell_key": record.cell_key,
                    "record_schema_version": record.schema_version,
                    "superseded": superseded,
                    "protocol_hash": record.protocol_hash,
                    "protocol": record.protocol and record.protocol.plain(),
                }
            ),
        },
        "eval_library": _library(record),
        "model_info": model,
        "evaluation_results": [
            result for values in _all_values(record) for result in _results(record, values, metrics)
        ],
    }


def _begun(record: Record, store: Path) -> str | None:
    """When the evaluation was begun (UTC, ISO 8601), by its artifact; None where that is gone."""
    for one in record.stages:
        if one.stage == _LAST_STAGE[record.kind]:
            try:
                attempts = read_description(store / one.stage / one.key).get("attempts")
            except (OSError, DamagedError):
                return None
            return str(attempts[-1]) if attempts else None
    return None


def _library(record: Record) -> dict[str, Any]:
    about = record.provenance
    packages = {name: version for name, version in about.packages.items() if name != LIBRARY}
    return {
        "name": LIBRARY,
        "version": about.packages.get(LIBRARY) or UNKNOWN,
        "additional_details": _texts(
            {
                "git_commit": about.git_commit,
                "git_dirty": about.git_dirty,
                "packages": packages,
                "python": about.python,
                "platform": about.platform,
            }
        ),
    }


def _model(record: Record, metrics: Sequence[str]) -> dict[str, Any]:
    """The tokenizer with what gives each image its budget; nobody is known to have developed it."""
    settings = {
        part: _without_places(part, value) if isinstance(value, dict) else value
        for part, value in record.settings.items()
    }
    torch = record.provenance.packages.get("torch")
    undirected = {
        f"measured.{name}": json.dumps(value)
        for name, value in record.metrics.root.items()
        if not _is_result(name, value) and (not metrics or name in metrics)
    }
    return {
        "name": f"{record.suite}: {record.label}",
        "id": f"{UNKNOWN}/{record.suite}-{record.cell_key}",
        "developer": UNKNOWN,
        "inference_engine": {"name": "torch", "version": torch or UNKNOWN},
        "additional_details": {
            "deployment_type": "self_deployed",
            "model_availability": UNKNOWN,
            **_texts(
                {
                    "tokenizer": settings.get("tokenizer"),
                    "tokenizer_parameters": record.tokenizer_parameters,
                    "allocator": record.allocator,
                    "settings": settings,
                    "stages": [f"{one.stage}-{one.key}" for one in record.stages],
                }
            ),
            **undirected,
        },
    }


def _all_values(record: Record) -> Iterator[_Values]:
    """The record's own values, then those by budget, of controls, and by length of samples."""
    kind, images = record.kind, _image_count(record)
    yield _Values(kind, record.metrics.root, {}, images)
    for row in record.curve:
        about = {"budget": row.budget, "budget_was_trained": row.trained}
        yield _Values(f"{kind} at {row.budget} tokens", row.values, about, images)
    for name, control in record.controls.items():
        yield _Values(f"{kind}, control {name}", control.root, {"control": name}, images)
    for length in record.generation.by_length if record.generation else ():
        by_length = {"largest_length": length.tokens, "reference_images": length.n_reference}
        yield _Values(f"{kind} at {length.tokens} tokens", length.values, by_length, length.n)
    for group in record.generation.by_group if record.generation else ():
        of_length = {"up_to_tokens": group.tokens, "reference_images": group.n_reference}
        name = f"{kind} of up to {group.tokens} tokens"
        yield _Values(name, group.values, of_length, group.n)


def _image_count(record: Record) -> int | None:
    if record.protocol is None:
        return None
    sampling = record.protocol.sampling
    return record.protocol.images_count if sampling is None else int(sampling["images"])


def _results(record: Record, values: _Values, metrics: Sequence[str]) -> Iterator[dict[str, Any]]:
    for name, value in values.values.items():
        metric = _judged(name)
        if metric is None or not _is_result(name, value) or (metrics and name not in metrics):
            continue
        parts = [name, *(f"{key}={one}" for key, one in values.about.items())]
        uncertainty = _uncertainty(record, name, values)
        yield {
            "evaluation_result_id": "/".join(parts),
            "evaluation_name": values.name,
            "source_data": _source_data(record),
            "metric_config": _metric_config(record, metric, values),
            "score_details": {
                "score": value,
                **({"uncertainty": uncertainty} if uncertainty else {}),
                "details": _texts({"images": values.images}),
            },
            **_generation_config(record),
        }


def _judged(name: str) -> Metric | None:
    """The declaration of a metric of which one direction is better; None where none is known."""
    try:
        metric = declared_metric(name)
    except UserError:  # Of a package that is not installed here.
        return None
    return metric if metric.judged else None


def _is_result(name: str, value: Value) -> bool:
    """Whether a value is a finite number of which one direction is better."""
    number = not isinstance(value, bool) and isinstance(value, int | float)
    return number and math.isfinite(value or 0) and _judged(name) is not None


def _metric_config(record: Record, metric: Metric, values: _Values) -> dict[str, Any]:
    return {
        "evaluation_description": metric.caption,
        "metric_id": f"{LIBRARY}.{metric.name}",
        "metric_name": metric.title,
        **({"metric_unit": metric.unit} if metric.unit else {}),
        **({"metric_parameters": dict(values.about)} if values.about else {}),
        "lower_is_better": not metric.higher_is_better,
        "additional_details": _texts({"protocol_hash": record.protocol_hash}),
    }


def _without_places(part: str, settings: dict[str, Any]) -> dict[str, Any]:
    """Settings but for paths; scenes have numbers of images by the same names."""
    return {
        name: one
        for name, one in settings.items()
        if (part, name) not in _PLACES or isinstance(one, int)
    }


def _source_data(record: Record) -> dict[str, Any]:
    protocol = record.protocol
    if protocol is None:  # A speed is of no images.
        return {"dataset_name": "none", "source_type": "other"}
    data = record.settings["data"]
    return {
        "dataset_name": data["kind"],
        "source_type": "other",
        "additional_details": _texts(
            {
                "split": "validation",
                "images_digest": protocol.images_digest,
                "images_count": protocol.images_count,
                "resolution": protocol.resolution,
                "settings": _without_places("data", data),
            }
        ),
    }


def _uncertainty(record: Record, name: str, values: _Values) -> dict[str, Any]:
    """The interval or the standard error that stands beside a value."""
    known = values.values
    low, high, error = (known.get(f"{name}_{end}") for end in ("low", "high", "se"))
    how = ""
    if low is not None and high is not None:
        how = (
            "Student t over estimates without pairs of an image with itself on disjoint blocks of "
            "images; the score has such pairs, and may lie outside"
        )
    elif record.generation is not None and not values.about:
        for distance, one in record.generation.distance.items():
            if name == f"length_{distance}":
                low, high, how = one.low, one.high, "bootstrap over images"
    found: dict[str, Any] = {}
    if low is not None and high is not None:
        bounds = {"lower": low, "upper": high, "confidence_level": LEVEL, "method": how}
        found["confidence_interval"] = bounds
    if error is not None:
        found["standard_error"] = {"value": error, "method": "of the line that is extrapolated"}
    if found and values.images is not None:
        found["num_samples"] = values.images
    return found


def _generation_config(record: Record) -> dict[str, Any]:
    """How images were sampled, where they were."""
    sampling = record.protocol.sampling if record.protocol else None
    if sampling is None:
        return {}
    named = {key: sampling[key] for key in ("temperature", "top_k", "top_p") if key in sampling}
    others = {key: value for key, value in sampling.items() if key not in named}
    return {
        "generation_config": {"generation_args": named, "additional_details": _texts(others)},
    }


def _texts(values: Mapping[str, Any]) -> dict[str, str]:
    """The values that are known, each as a text, as the schema asks of details."""
    return {
        name: value if isinstance(value, str) else json.dumps(value)
        for name, value in values.items()
        if value is not None
    }
