from dataclasses import dataclass, field, replace

import pytest

from bench.store.stage import StageContext


@dataclass(frozen=True)
class Watched(StageContext):
    """A context that notes what it is told, and is interrupted at `stop_at`."""

    told: list = field(default_factory=list)
    stop_at: int | None = None

    def progress(self, done, total, note=""):
        self.told.append(done)
        if done == self.stop_at:
            raise KeyboardInterrupt


@pytest.fixture
def context(small_run, tmp_path):
    """`context(label, path)`: what that stage of the small run was given, with changes.

    `of` is another run to take it from.
    """

    def context(
        label, path, *, of=small_run, work="work", config=(), inputs=(), runtime=(), stop_at=None
    ):
        spec = of.spec(label, path)
        spec = replace(
            spec, config={**spec.config, **dict(config)}, runtime={**spec.runtime, **dict(runtime)}
        )
        folders = {name: of.store.artifact(*at) for name, at in spec.inputs.items()}
        folder = tmp_path / work
        folder.mkdir(exist_ok=True)
        return Watched(spec, {**folders, **dict(inputs)}, folder, stop_at=stop_at)

    return context
