"""How commands name the content of image folders, and what they say meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable

from bench.data.fingerprint import fingerprint
from bench.data.image_folder import WHOLE, SplitFolders, require_readable
from bench.store.store import Store, disk_error

SAY_SECONDS = 5.0

Say = Callable[[str], None]
NameFolder = Callable[[str, SplitFolders], str]


def by_content(store: Store, *, remember: bool, say: Say) -> NameFolder:
    """Names a folder by its fingerprint, with the help of what the store remembers of its files.

    Reading that takes longer than some seconds is told to `say`. What is new goes to the store
    where `remember` is set.

    Raises:
        UserError: the folder or one of its files cannot be read, or the store not be written.
    """

    def name(folder: str, folders: SplitFolders) -> str:
        told = time.monotonic()

        def progress(done: int, total: int) -> None:
            nonlocal told
            if time.monotonic() - told >= SAY_SECONDS:
                told = time.monotonic()
                say(f"reading {folder}: {done} of {total} files")

        memory = store.file_hashes(folder)
        try:
            return fingerprint(folder, folders, memory=memory, remember=remember, progress=progress)
        except OSError as error:  # Of the memory: what the folder lacks is told by a UserError.
            raise disk_error(store.root, error) from error

    return name


def without_reading(say: Say) -> NameFolder:
    """Stands in for a folder's name where no key is needed: its images are seen to be there.

    Splits, classes and counts are told to `say`.

    Raises:
        UserError: the folder or one of its files cannot be read.
    """

    def name(folder: str, folders: SplitFolders) -> str:
        listing = require_readable(folder, folders)
        if folders == WHOLE:
            say(f"folder {folder}: {len(listing.paths)} images")
            return "not read"
        for line in listing.told():
            say(line)
        return "not read"

    return name
