"""The data stage: one split of an image set as 8-bit pixels and a table."""

from __future__ import annotations

from typing import Any

from bench.config.settings import parse
from bench.data.image_set import DATASETS, ImageFolder
from bench.data.manifest import read_manifest
from bench.data.writing import write_folder
from bench.store.stage import StageContext


def run(context: StageContext) -> dict[str, Any]:
    """Build the split that the configuration names; its digest is the result.

    Images go to the disk one by one, so memory does not grow with their pixels. A stage that was
    interrupted begins again.

    Raises:
        UserError: the folder has too many unreadable files, too few images in a split, or has
            changed since its manifest was made.
    """
    settings = dict(context.spec.config)
    split = settings.pop("split")
    if "ids" in settings:
        settings["ids"] = {"sha256": settings["ids"], "file": context.spec.runtime["ids"]}

    def progress(done: int, total: int) -> None:
        context.progress(done, total, f"{split} images")

    if settings["kind"] != "image_folder":
        settings[split] = settings.pop("count")
        dataset = DATASETS[settings["kind"]]
        config = parse(dataset.config, settings, where="data")
        image_set = dataset.load()(config, split, context.work, progress=progress)
    else:
        config = parse(ImageFolder, {**context.spec.runtime, **settings}, where="data")
        image_set = write_folder(
            config,
            split,
            context.work,
            manifest=read_manifest(context.inputs["manifest"]),
            progress=progress,
        )
    return {"digest": image_set.digest, "count": len(image_set.table)}
