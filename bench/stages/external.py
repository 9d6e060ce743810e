"""The external stage: someone else's tokenizer, seen to be there and to fit the images.

tokenizer.json    its settings, with the paths they name here, and what it says of itself
identity.json     what stands for its content
"""

from __future__ import annotations

from typing import Any

from adatok_core.protocols import Tokenizer
from bench.artifacts.foreign import IDENTITY, SETTINGS, ForeignSettings
from bench.errors import UserError
from bench.files import write_json
from bench.store.stage import StageContext


def run(context: StageContext) -> dict[str, Any]:
    """Make the tokenizer once; nothing of it but its description enters the artifact.

    Raises:
        MissingFileError: a file that it needs is not there.
        UserError: it cannot be made, has not the budgets, or is for images of another size.
    """
    config, device = context.spec.config, context.spec.resources.device
    settings = _settings(config, context.spec.runtime)
    tokenizer = looked_at(config, context.spec.runtime, device=device)
    write_json(context.work / SETTINGS, settings.plain())
    write_json(
        context.work / IDENTITY,
        {name: config[name] for name in ("identity", "tokenizer", "resolution")},
    )
    parameters, _ = tokenizer.parameter_counts()
    return {
        "budgets": list(tokenizer.budgets),
        "nested": tokenizer.nested,
        "bits_per_token": tokenizer.bits_per_token,
        "parameters": parameters,
    }


def looked_at(config: dict[str, Any], runtime: dict[str, Any], *, device: str) -> Tokenizer:
    """The tokenizer of a stage, made; raises as `run` does."""
    tokenizer = _settings(config, runtime).load(device=device)
    if tokenizer.image_size != config["resolution"]:
        raise UserError(
            f"data.resolution: the tokenizer is for images of {tokenizer.image_size} px, not "
            f"{config['resolution']}; set it to {tokenizer.image_size}"
        )
    return tokenizer


def _settings(config: dict[str, Any], runtime: dict[str, Any]) -> ForeignSettings:
    return ForeignSettings(runtime["tokenizer"], runtime["folder"], config["identity"])
