"""The stages, each declared once: `STAGES` finds ours in `bench.stages.declared`, one module each.

A declaration needs no torch: what computes is imported where it computes.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adatok_core.registry import Registry, RegistryError, load_attribute, suggestion
from bench.errors import UserError
from bench.stages.work import Job, Work, same_settings
from bench.store.stage import StageContext, StageFunction

WorkFunction = Callable[[Job], Work]
ImagesProblem = Callable[[dict[str, Any], int], str | None]


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A stage: a pure function of its configuration and its inputs that leaves one artifact.

    Raise `version` when the same configuration means something else than before. `device`: whether
    it computes on the suite's device, or always on the CPU; `ranks`: whether it can share its work
    among several processes, with a GPU each. `run` fills the work folder of a
    `StageContext` and gives the result; `work` says how much work it is to do that, by default only
    that the same settings are the same work. Both may be `module:function`. `images_problem` says
    what of its configuration asks for more than so many images, if anything does: asked before
    anything is computed, with the number in the input `bank`, or else in `images`.

    With `inputs` (see `bench.graph.extra_stages`) cells may ask for the stage by `extra`: it gets
    these, and `settings`, a dataclass, as its configuration. `metrics` of its result enter the
    cell's.
    """

    name: str
    version: int
    run: StageFunction | str
    device: bool = False
    ranks: bool = False
    work: WorkFunction | str = same_settings
    images_problem: ImagesProblem | None = None
    inputs: tuple[str, ...] = ()
    settings: type[Any] | None = None

    def compute(self, context: StageContext) -> dict[str, Any]:
        """Import `run` if need be, and call it."""
        run: StageFunction = load_attribute(self.run)
        return run(context)

    def measure(self, job: Job) -> Work:
        """Import `work` if need be, and call it."""
        work: WorkFunction = load_attribute(self.work)
        return work(job)

    def require_images(self, config: dict[str, Any], count: int) -> None:
        """Refuse a configuration that asks for more images than these.

        Raises:
            UserError: names the setting.
        """
        problem = self.images_problem and self.images_problem(config, count)
        if problem:
            raise UserError(problem)


STAGES: Registry[Stage] = Registry("stage", group="adatok_bench.stages", expects=Stage)
_DECLARED = Path(__file__).parent / "declared"
OURS = tuple(module.name for module in pkgutil.iter_modules([str(_DECLARED)]))
for _name in OURS:
    STAGES.add(_name, f"bench.stages.declared.{_name}:STAGE")


def extra_stage(name: str, *, where: str) -> Stage:
    """A stage that a cell asks for by its `extra`.

    Raises:
        UserError: there is none of this name, with the nearest; or it cannot be used.
    """
    others = [one for one in STAGES if one not in OURS]
    if name not in others:
        hint = suggestion(name, others) or "; none is installed"
        raise UserError(f"{where}: unknown stage '{name}'{hint}")
    try:
        stage = STAGES[name]
    except RegistryError as error:
        raise UserError(f"{where}: {error}") from None
    if stage.name != name or not stage.inputs:
        reason = "has no inputs" if stage.name == name else f"calls itself '{stage.name}'"
        raise UserError(f"{where}: {STAGES.entry(name).origin}: {reason}; mend its declaration")
    return stage
