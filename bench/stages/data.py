"""The data stage: one split of an image set as 8-bit pixels and a table."""

from __future__ import annotations

from typing import Any

from bench.data.image_set import FluentScenes, ImageFolder, build_image_set, write_image_set
from bench.settings import parse
from bench.stage import StageContext


def run(context: StageContext) -> dict[str, Any]:
    """Build the split that the configuration names; its digest is the result."""
    settings = dict(context.spec.config)
    split = settings.pop("split")
    if settings["kind"] == "fluent_scenes":
        settings[split] = settings.pop("count")
        config = parse(FluentScenes, settings, where="data")
    else:
        del settings["fingerprint"]
        config = parse(ImageFolder, {**settings, **context.spec.runtime}, where="data")
    image_set = build_image_set(config, split, progress=context.progress)
    write_image_set(image_set, context.work)
    return {"digest": image_set.digest, "count": len(image_set.table)}
