"""The manifest stage: every image of a folder or of shards checked once, for all its splits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench.data.image_folder import SplitFolders
from bench.data.manifest import Manifest, build_manifest, manifest_of, write_manifest
from bench.data.sources.located import locate
from bench.data.sources.places import source_of
from bench.data.sources.survey import survey
from bench.errors import UserError
from bench.store.stage import StageContext
from bench.store.store import Store


def run(context: StageContext) -> dict[str, Any]:
    """Check that the folder is still the one that the configuration names, and write what it holds.

    Raises:
        UserError: the folder is missing, or its content is not what it was named after.
    """
    surveyed = "resolution" in context.spec.config
    manifest = _surveyed(context) if surveyed else _read(context)
    if manifest.fingerprint != context.spec.config["fingerprint"]:
        memory = "surveys" if surveyed else "file_hashes"
        raise UserError(
            f"{source_of(context.spec.runtime).where}: its files changed while the run was going "
            f"on; run again, and if this repeats, remove {memory} from the store"
        )
    write_manifest(manifest, context.work)
    result = {"count": len(manifest.files), "unreadable": len(manifest.unreadable)}
    if manifest.metadata_damaged:
        result["metadata_damaged"] = len(manifest.metadata_damaged)
    return result


def _read(context: StageContext) -> Manifest:
    root = Path(context.spec.runtime["path"])
    folders = SplitFolders.of(context.spec.runtime)
    return build_manifest(
        root, folders, progress=lambda done, total: context.progress(done, total, "files checked")
    )


def _surveyed(context: StageContext) -> Manifest:
    """Of images that stay where they are; what named them has read them, and is remembered."""
    source, resolution = source_of(context.spec.runtime), context.spec.config["resolution"]
    store = Store(context.work.parents[1])
    found = survey(
        source,
        resolution=resolution,
        memory=store.survey(source.name, resolution),
        workers=context.spec.resources.cpus,
        progress=lambda done, total: context.progress(done, total, "files checked"),
    )
    locate(found, store.source(found.digest))
    return manifest_of(found)
