"""Stages of other packages, which a cell asks for by `extra: {STAGE: {SETTINGS}}`.

Such a stage names as its `inputs` what it needs of the cell:

images         the validation images
tokenizer      the cell's tokenizer
bank           the bank of the validation images
training_bank  the bank of the policy's training images
policy         the cell's policy, in cells that have one
evaluation     the evaluation of the cell's reconstructions
"""

from __future__ import annotations

from collections.abc import Callable

from bench.errors import UserError, suggestion
from bench.graph.builder import Builder
from bench.graph.nodes import Node
from bench.stages import extra_stage
from bench.suite.cells import Cell


def extra_stages(builder: Builder, cell: Cell, evaluated: list[Node]) -> tuple[Node, ...]:
    """The stages that a cell asks for besides its own; `evaluated` are the cells before it.

    Raises:
        UserError: a stage needs what cells do not have, or this one has not.
    """
    asked = cell.config.extra
    if not asked:
        return ()
    given = _given(builder, cell, evaluated)
    nodes = []
    for name, settings in asked.items():
        where = f"extra.{name}"
        inputs = {}
        for wanted in extra_stage(name, where=where).inputs:
            if wanted not in given:
                raise UserError(
                    f"{where}: asks for an input '{wanted}'{suggestion(wanted, list(given))}"
                )
            if wanted == "policy" and cell.config.policy is None:
                raise UserError(f"{where}: needs a policy, which the cell lacks; give it one")
            inputs[wanted] = given[wanted]()
        nodes.append(builder.node(name, settings, inputs=inputs))
    return tuple(nodes)


def _given(builder: Builder, cell: Cell, evaluated: list[Node]) -> dict[str, Callable[[], Node]]:
    """Makers of what a stage may ask for, by name."""
    tokenizer = builder.tokenizer(cell, evaluated)
    banks = builder.banks(cell, tokenizer)
    return {
        "images": lambda: builder.data(cell, "validation"),
        "tokenizer": lambda: tokenizer,
        "bank": banks.validation,
        "training_bank": banks.training,
        "policy": lambda: builder.policy(cell, tokenizer, banks),
        "evaluation": lambda: builder.evaluation(cell, evaluated),
    }
