"""Stages that look at someone else's tokenizer once: that it is there, and fits the images.

tokenizer.json    its settings, with the paths they name here, and what it says of itself
identity.json     what stands for its content

Of reconstructions that were made elsewhere, their files besides (`bench.external.inventory`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from adatok_core.protocols import Tokenizer
from bench.artifacts.foreign import IDENTITY, SETTINGS, ForeignSettings
from bench.config.settings import parse
from bench.config.tokenizers import Reconstructions
from bench.errors import UserError
from bench.external.inventory import Inventory
from bench.external.reconstructions import identity_of, look_through, read_tokens
from bench.files import write_json
from bench.store.stage import StageContext


def run(context: StageContext) -> dict[str, Any]:
    """Make the tokenizer once; nothing of it but its description enters the artifact.

    Raises:
        MissingFileError: a file that it needs is not there.
        UserError: it cannot be made, has not the budgets, or is for images of another size.
    """
    config, runtime = context.spec.config, context.spec.runtime
    tokenizer = looked_at(config, runtime, device=context.spec.resources.device)
    _write_about(context, _settings(config, runtime))
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


def look_at_reconstructions(context: StageContext) -> dict[str, Any]:
    """Decode every file of a folder once; whether a suite's images have theirs is asked later.

    Raises:
        UserError: the folder or the token ids are not what they were when the suite was planned, or
            the ids are not what the settings say.
    """
    config, runtime = context.spec.config, context.spec.runtime
    told = _settings(config, runtime)
    settings = parse(Reconstructions, told.tokenizer, where="tokenizer")
    tokens = read_tokens(settings, folder=told.folder)
    files, tree = look_through(
        Path(runtime["images"]),
        resolution=config["resolution"],
        progress=lambda done, total: context.progress(done, total, "files checked"),
    )
    identity = identity_of(settings, folder=told.folder) | {"images": tree}
    if identity != config["identity"]:
        raise UserError(
            f"tokenizer.path: {runtime['images']}: its files, or the token ids, changed while the "
            "run was going on; run again"
        )
    Inventory(files, tokens).write(context.work)
    _write_about(context, told)
    return {
        "budgets": list(settings.known_budgets),
        "files": len(files),
        "tokens": None if tokens is None else len(tokens),
    }


def _write_about(context: StageContext, settings: ForeignSettings) -> None:
    config = context.spec.config
    write_json(context.work / SETTINGS, settings.plain())
    write_json(
        context.work / IDENTITY,
        {name: config[name] for name in ("identity", "tokenizer", "resolution")},
    )
