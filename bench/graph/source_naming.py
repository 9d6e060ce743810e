"""How commands name the content of images that stay where they are: the digest of one pass."""

from __future__ import annotations

import time
from collections.abc import Callable

from bench.data.image_folder import require_readable
from bench.data.sources.places import FolderSource, ImageSource, told
from bench.data.sources.workers import cpus, require_cpus
from bench.graph.folder_naming import SAY_SECONDS, Say
from bench.store.store import Store, disk_error

NameSource = Callable[[ImageSource, int, int], str]


def digest_of(source: ImageSource, resolution: int, workers: int) -> str:
    """The digest of a source whose images are read at this resolution, and not remembered."""
    from bench.data.sources.survey import survey  # It imports pandas, which takes long.

    return survey(source, resolution=resolution, workers=workers).digest


def sources_by_content(store: Store, *, remember: bool, say: Say) -> NameSource:
    """Names a source by its digest, with the help of what the store remembers of its files.

    Reading that takes longer than some seconds is told to `say`. What is new goes to the store
    where `remember` is set, and where the images are; else it may be for another machine.

    Raises:
        UserError: the source cannot be read, the store not be written, or, where `remember` is set,
            there are fewer CPUs than `resources.manifest.cpus`.
    """

    def name(source: ImageSource, resolution: int, workers: int) -> str:
        from bench.data.sources import known
        from bench.data.sources.located import is_located, locate
        from bench.data.sources.survey import survey

        memory = store.survey(source.name, resolution)
        state = known.State.of(source)
        found = known.recall(memory, state)
        if found and (not remember or is_located(store.source(found[0]), found[1])):
            return found[0]
        began = time.monotonic()

        def progress(done: int, total: int) -> None:
            nonlocal began
            if time.monotonic() - began >= SAY_SECONDS:
                began = time.monotonic()
                say(f"reading {source.where}: {done} of {total} files")

        if remember:
            require_cpus(workers, key="resources.manifest.cpus")
        try:
            surveyed = survey(
                source,
                resolution=resolution,
                memory=memory,
                remember=remember,
                workers=min(workers, cpus()),
                progress=progress,
            )
            digest = surveyed.digest
            if remember:
                place = locate(surveyed, store.source(digest))
                known.remember(memory, state, digest=digest, place=place)
        except OSError as error:  # Of the memory: what the source lacks is told by a UserError.
            raise disk_error(store.root, error) from error
        return digest

    return name


def sources_without_reading(say: Say) -> NameSource:
    """Stands in for a source's name where no key is needed: its files are seen to be there.

    Raises:
        UserError: they are not, or may not be read.
    """

    def name(source: ImageSource, resolution: int, workers: int) -> str:
        if isinstance(source, FolderSource):
            require_readable(source.root, source.folders)
        for line in told(source):
            say(line)
        return "not read"

    return name
