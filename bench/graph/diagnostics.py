"""Stages that look at what a cell has made, besides its last one.

They are cheap, or asked for: a store from before they were there keeps all else that it holds.
"""

from __future__ import annotations

from bench.config.settings import plain
from bench.graph.builder import Builder
from bench.graph.nodes import Node
from bench.metrics.weight_files import weights_to_runtime
from bench.suite.cells import Cell


def diagnostics(builder: Builder, cell: Cell, last: Node) -> tuple[Node, ...]:
    """Those of a cell that ends in `last`."""
    if cell.config.kind == "generation":
        settings = {key: last.config[key] for key in ("labels", "seed")}
        inputs = {"samples": last, **last.inputs}
        return (builder.node("code_histograms", settings, inputs=inputs),)
    if cell.config.kind == "throughput" or cell.config.allocates:
        return ()
    return (*_perturbed(builder, cell, last), *_prefix_cosine(builder, cell, last))


def _perturbed(builder: Builder, cell: Cell, last: Node) -> tuple[Node, ...]:
    asked, bank = cell.config.evaluation.perturbed, cell.config.bank
    if asked is None:
        return ()
    settings = {
        "perturbed": plain(asked),
        "extractor_resolution": bank.extractor_resolution,
        "batch": bank.batch,
    }
    inputs = {name: last.inputs[name] for name in ("bank", "tokenizer", "images")}
    runtime = weights_to_runtime(builder.weights(bank))
    return (builder.node("perturbed", settings, inputs=inputs, runtime=runtime),)


def _prefix_cosine(builder: Builder, cell: Cell, last: Node) -> tuple[Node, ...]:
    images, bank = cell.config.evaluation.prefix_cosine_images, cell.config.bank
    if images is None:
        return ()
    settings = {"images": images, "budgets": plain(bank.budgets), "batch": bank.batch}
    inputs = {name: last.inputs[name] for name in ("tokenizer", "images")}
    return (builder.node("prefix_cosine", settings, inputs=inputs),)
