"""The external stage: someone else's tokenizer, seen to be there and to fit the images.

tokenizer.json    its settings, with the paths they name here, and what it says of itself
identity.json     what stands for its content
"""

from __future__ import annotations

from typing import Any

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
    config, runtime = context.spec.config, context.spec.runtime
    settings = ForeignSettings(runtime["tokenizer"], runtime["folder"], config["identity"])
    tokenizer = settings.load(device=context.spec.resources.device)
    if tokenizer.image_size != config["resolution"]:
        raise UserError(
            f"data.resolution: the tokenizer is for images of {tokenizer.image_size} px, not "
            f"{config['resolution']}; set it to {tokenizer.image_size}"
        )
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
