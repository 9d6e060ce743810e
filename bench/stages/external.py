"""The external stage: someone else's tokenizer is there, and fits the images.

tokenizer.json    its settings, with the paths they name here
identity.json     what stands for its content
"""

from __future__ import annotations

from typing import Any

from adatok_core.protocols import Tokenizer
from bench.artifacts.foreign import ForeignSettings
from bench.errors import UserError
from bench.store.stage import StageContext


def run(context: StageContext) -> dict[str, Any]:
    """Make the tokenizer once; nothing of it but its description enters the artifact.

    Raises:
        MissingFileError: a file that it needs is not there.
        UserError: it cannot be made, has not the budgets, or is for images of another size.
    """
    config, runtime = context.spec.config, context.spec.runtime
    tokenizer = looked_at(config, runtime, device=context.spec.resources.device)
    ForeignSettings.planned(config, runtime).write(context.work, config)
    parameters, _ = tokenizer.parameter_counts()
    return {
        "budgets": list(tokenizer.budgets),
        "nested": tokenizer.nested,
        "bits_per_token": tokenizer.bits_per_token,
        "parameters": parameters,
    }


def looked_at(config: dict[str, Any], runtime: dict[str, Any], *, device: str) -> Tokenizer:
    """The tokenizer of a stage, made; raises as `run` does."""
    tokenizer = ForeignSettings.planned(config, runtime).load(device=device)
    if tokenizer.image_size != config["resolution"]:
        raise UserError(
            f"data.resolution: the tokenizer is for images of {tokenizer.image_size} px, not "
            f"{config['resolution']}; set it to {tokenizer.image_size}"
        )
    return tokenizer
