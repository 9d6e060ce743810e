"""The data stage: one split of an image set as a table, with pixels unless they stay in files."""

from __future__ import annotations

from typing import Any

from bench.config.settings import parse
from bench.data.datasets import DATASETS, ImageFolder, WebDataset
from bench.data.image_set import ImageSet
from bench.data.manifest import read_manifest
from bench.data.writing import write_folder, write_survey
from bench.store.stage import StageContext
from bench.store.store import Store


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

    if settings["kind"] in ("files", "webdataset"):
        image_set = _surveyed(context, split, settings)
    elif settings["kind"] != "image_folder":
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


def _surveyed(context: StageContext, split: str, settings: dict[str, Any]) -> ImageSet:
    """A split of images that stay where they are, in a folder or in shards."""
    runtime = context.spec.runtime
    kind: type[ImageFolder | WebDataset] = ImageFolder if "path" in runtime else WebDataset
    store = "files" if settings.pop("kind") == "files" else "pixels"
    config = parse(kind, {**runtime, **settings, "store": store}, where="data")
    return write_survey(
        config,
        split,
        context.work,
        manifest=read_manifest(context.inputs["manifest"]),
        sources=Store(context.work.parents[1]).root / "sources",
        progress=lambda done, total: context.progress(done, total, f"{split} images"),
    )
