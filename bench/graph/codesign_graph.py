"""The rounds in which a cell's tokenizer is trained again, from first training to last.

With lengths that policies choose, a round is: bank of the training images, policy, its choice for
every training image, tokenizer. Otherwise it is a tokenizer alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bench.config.settings import plain
from bench.graph.nodes import Node
from bench.graph.trained import of_training
from bench.suite.cells import Cell

if TYPE_CHECKING:
    from bench.graph.builder import Builder


def last_round(
    builder: Builder, cell: Cell, first: Node, *, seen: dict[str, Any], runtime: dict[str, Any]
) -> Node:
    """The tokenizer after the rounds that the cell asks for; `first` where it asks for none.

    `seen` and `runtime` are those of every training of the cell.
    """
    config, asked, tokenizer = cell.config, cell.config.codesign, first
    if asked is None:
        return first
    for number in range(1, asked.rounds + 1):
        inputs = {"images": builder.data(cell, "train")}
        if asked.chooses:
            inputs["lengths"] = _lengths(builder, cell, tokenizer)
        if asked.start == "warm":
            inputs["start"] = tokenizer
        training = asked.training_of(number, seed=config.training.seed)
        weights = builder.weights(config.bank)
        settings, files = of_training(training, weights, key="codesign.training")
        tokenizer = builder.node(
            "tokenizer",
            {"tokenizer": plain(config.tokenizer), **settings, **seen},
            inputs=inputs,
            runtime=runtime | files,
            budget_sources=first.budget_sources,
        )
    return tokenizer


def _lengths(builder: Builder, cell: Cell, tokenizer: Node) -> Node:
    """What the policy of this tokenizer chooses for all of the training images."""
    policy = builder.policy(
        cell, tokenizer, builder.banks(cell, tokenizer), config=cell.config.codesign_policy
    )
    bank = cell.config.bank
    return builder.node(
        "lengths",
        {"batch": bank.batch, "shard": bank.shard},
        inputs={"images": builder.data(cell, "train"), "tokenizer": tokenizer, "policy": policy},
    )
