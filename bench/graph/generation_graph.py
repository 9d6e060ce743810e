"""The stages of cells that generate: generator, samples, throughput."""

from __future__ import annotations

import os
from typing import Any

from bench.config.length_distributions import PolicyLengths
from bench.config.settings import plain
from bench.errors import UserError
from bench.graph.builder import Builder
from bench.graph.nodes import Banks, Node
from bench.metrics.extractors import EXTRACTORS
from bench.metrics.weight_files import weights_to_runtime
from bench.suite.cells import Cell


def last_stage(builder: Builder, cell: Cell, evaluated: list[Node]) -> Node:
    """The stage that a cell's record is of; `evaluated` are those of the cells before it."""
    make = {"generation": samples, "throughput": throughput}.get(cell.config.kind)
    return builder.evaluation(cell, evaluated) if make is None else make(builder, cell, evaluated)


def samples(builder: Builder, cell: Cell, evaluated: list[Node]) -> Node:
    """Images sampled from a generator, judged against the validation images."""
    config, asked = cell.config, cell.config.generation
    assert asked is not None
    tokenizer = builder.tokenizer(cell, evaluated)
    banks = builder.banks(cell, tokenizer)
    validation = banks.validation()
    inputs = {
        "generator": generator(builder, cell, tokenizer, banks),
        "tokenizer": tokenizer,
        "bank": validation,
        "training": banks.training(),
        **_policy(builder, cell, tokenizer, banks, held_out="bank"),
    }
    measures = ("extractor_resolution", "second_extractor", "inception")
    named = [EXTRACTORS[name] for name in config.bank.extractors]
    featured = [one for one in named if one.samples is not None]
    hashes = validation.config.get("weights", {})
    hashes = {file.name: hashes[file.name] for one in featured for file in one.weights}
    settings = {
        "sampling": plain(asked.sampling),
        "labels": plain(asked.labels),
        **{key: getattr(asked, key) for key in ("images", "batch", "seed")},
        **{key: getattr(config.evaluation, key) for key in ("kid_subset", "generative")},
        **{key: validation.config[key] for key in measures},
        **({"extractors": [one.name for one in featured]} if featured else {}),
        **({"weights": hashes} if hashes else {}),
    }
    runtime = weights_to_runtime(builder.weights(config.bank))
    if asked.reference is not None:
        path = os.path.abspath(os.path.expanduser(asked.reference.file))
        sha256 = _reference_sha256(builder, path, asked.reference.sha256)
        settings["reference"] = {"extractor": asked.reference.extractor, "sha256": sha256}
        runtime["reference"] = path
    return builder.node("samples", settings, inputs=inputs, runtime=runtime)


def _reference_sha256(builder: Builder, path: str, wanted: str | None) -> str:
    """The SHA-256 of a reference's file, whose content names the stage.

    Raises:
        UserError: it cannot be read, or is another one.
    """
    where = "generation.reference"
    try:
        sha256 = builder.file_sha256(path)
    except OSError as error:
        raise UserError(
            f"{where}.file: cannot read {path}: {error.strerror}; correct it, or leave it out"
        ) from None
    if not sha256.startswith(wanted or ""):
        raise UserError(
            f"{where}.sha256: that of {path} begins with {sha256[:8]}, not {str(wanted)[:8]}; give "
            "that file, or correct it"
        )
    return sha256


def generator(builder: Builder, cell: Cell, tokenizer: Node, banks: Banks) -> Node:
    """The training of the generator, on the ids of the training images' bank."""
    asked = cell.config.generation
    assert asked is not None
    settings = {
        "generator": plain(asked.generator),
        "training": plain(asked.training),
        "budget": asked.budget,
        "classes": asked.classes,
    }
    inputs = {
        "training": banks.training(),
        "held_out": banks.held_out(),
        "tokenizer": tokenizer,
        **_policy(builder, cell, tokenizer, banks, held_out="held_out"),
    }
    return builder.node("generator", settings, inputs=inputs)


def _policy(
    builder: Builder, cell: Cell, tokenizer: Node, banks: Banks, *, held_out: str
) -> dict[str, Node]:
    """The policy that gives lengths, and the images it looks at, if it looks at pixels."""
    policy, asked = cell.config.policy, cell.config.generation
    assert asked is not None
    if policy is None or asked.budget is not None:
        return {}
    inputs = {"policy": builder.policy(cell, tokenizer, banks)}
    if policy.input == "pixels":
        inputs["training_images"] = builder.data(cell, "train")
        inputs[f"{held_out}_images"] = builder.data(cell, "validation")
    return inputs


def throughput(builder: Builder, cell: Cell, evaluated: list[Node]) -> Node:
    """The speed of generation; without a policy or a trained generator it needs no other stage."""
    config, asked = cell.config, cell.config.throughput
    assert asked is not None
    settings: dict[str, Any] = plain(asked)
    inputs: dict[str, Node] = {}
    if isinstance(asked.lengths, PolicyLengths):
        inputs["evaluation"] = builder.evaluation(cell, evaluated)
    if config.generation is not None or inputs or config.trained_here is None:
        inputs["tokenizer"] = builder.tokenizer(cell, evaluated)
    if config.generation is not None:
        banks = builder.banks(cell, inputs["tokenizer"])
        inputs["generator"] = generator(builder, cell, inputs["tokenizer"], banks)
    if not inputs:
        settings["tokenizer"] = plain(config.final_tokenizer)
        settings["resolution"] = config.data.resolution
    return builder.node("throughput", settings, inputs=inputs)
