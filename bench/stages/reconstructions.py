"""The stage of reconstructions made elsewhere: every file of the folder is decoded once.

Its artifact is that of the external stage, and the files besides (`bench.external.inventory`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench.artifacts.foreign import ForeignSettings
from bench.config.settings import parse
from bench.config.tokenizers import Reconstructions
from bench.errors import UserError
from bench.external.inventory import Inventory
from bench.external.reconstructions import identity_of, look_through, read_tokens
from bench.store.stage import StageContext


def run(context: StageContext) -> dict[str, Any]:
    """Decode every file of a folder once; whether a suite's images have theirs is asked later.

    Raises:
        UserError: the folder or the token ids are not what they were when the suite was planned, or
            the ids are not what the settings say.
    """
    config, runtime = context.spec.config, context.spec.runtime
    told = ForeignSettings.planned(config, runtime)
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
    told.write(context.work, config)
    return {
        "budgets": list(settings.known_budgets),
        "files": len(files),
        "tokens": None if tokens is None else len(tokens),
    }
