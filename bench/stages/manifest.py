"""The manifest stage: every file of an image folder checked once, for all its splits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench.data.image_folder import SplitFolders
from bench.data.manifest import build_manifest, write_manifest
from bench.errors import UserError
from bench.store.stage import StageContext


def run(context: StageContext) -> dict[str, Any]:
    """Check that the folder is still the one that the configuration names, and write what it holds.

    Raises:
        UserError: the folder is missing, or its content is not what it was named after.
    """
    root = Path(context.spec.runtime["path"])
    folders = SplitFolders.of(context.spec.runtime)
    manifest = build_manifest(
        root, folders, progress=lambda done, total: context.progress(done, total, "files checked")
    )
    if manifest.fingerprint != context.spec.config["fingerprint"]:
        raise UserError(
            f"image folder {root}: its files changed while the run was going on; run again, and if "
            "this repeats, remove file_hashes from the store"
        )
    write_manifest(manifest, context.work)
    result = {"count": len(manifest.files), "unreadable": len(manifest.unreadable)}
    if manifest.metadata_damaged:
        result["metadata_damaged"] = len(manifest.metadata_damaged)
    return result
