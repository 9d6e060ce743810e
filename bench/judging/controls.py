"""Allocations over one bank's candidate budgets: their metrics, and what each is shown with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from bench.allocators.allocation import budget_shares, skill_at
from bench.allocators.base import Allocation, Allocator, Fitting
from bench.allocators.build import build_allocator
from bench.allocators.mixture import Shuffled, agnostic, fixed
from bench.allocators.oracle import Oracle
from bench.config.allocators import controls_at, looks_at_ids
from bench.judging.judge import Judge

SKILLS = {"mse": "allocation_skill", "perceptual": "allocation_skill_perceptual"}


@dataclass(frozen=True)
class Candidates:
    """The budgets that allocations choose from: `columns [M]` of the judge's bank."""

    judge: Judge
    columns: np.ndarray

    @property
    def budgets(self) -> np.ndarray:
        """The candidate budgets `[M]`."""
        return self.judge.bank.tokens(self.columns)

    def metrics(
        self, allocator: Allocator, allocation: Allocation, *, kernel: bool = True
    ) -> dict[str, Any]:
        """Tokens, errors, distances, passes and skills.

        Skill is in expectation over who gets which budget where the allocator sees nothing; the
        errors are those of the draw.
        """
        metrics = self.judge.metrics(self.columns[allocation.chosen], kernel=kernel)
        metrics |= passes(allocation)
        if allocator.sees:
            return metrics | self.skills(metrics)
        shares = budget_shares(allocation.chosen, len(self.columns))
        expected = {name: float(shares @ self._table(name).mean(axis=0)) for name in self._errors}
        return metrics | self.skills({**metrics, **expected})

    def skills(self, metrics: dict[str, Any]) -> dict[str, float]:
        """Skill by each error that bank and `metrics` have, of what the latter say was reached."""
        return {
            SKILLS[name]: skill_at(
                self._table(name), self.budgets,
                tokens=metrics["mean_tokens"], reached=metrics[name],
            )
            for name in self._errors
            if name in metrics
        }  # fmt: skip

    @property
    def _errors(self) -> list[str]:
        return [name for name in SKILLS if name in self.judge.errors]

    def _table(self, error: str) -> np.ndarray:
        return self.judge.errors[error][:, self.columns]


def passes(allocation: Allocation) -> dict[str, float]:
    """Costs of choosing and encoding, mean per image, as far as they are known."""
    known = allocation.encoder_passes
    return {
        **({} if known is None else {"encoder_passes": known}),
        "decoder_passes": allocation.decoder_passes,
    }


def controls(
    candidates: Candidates,
    fitting: Fitting,
    *,
    mean_tokens: float,
    chosen: np.ndarray | None,
    heuristics: bool,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, dict[str, Any]]:
    """Metrics of the controls that an allocation of `mean_tokens` is shown with, by name.

    `chosen [n]` are its columns, to be shuffled; null where they are no candidates. `heuristics`
    are calibrated on other images, so their mean tokens may differ. `progress(done, total)` after
    each.
    """
    made = {}
    builders = _builders(fitting, mean_tokens, chosen, heuristics)
    for build in builders:
        allocator = build()
        allocation = allocator.allocate(fitting.judged.only(allocator.sees))
        metrics = candidates.metrics(allocator, allocation, kernel=False)
        made[allocator.name] = metrics | dict(allocation.about)
        if progress:
            progress(len(made), len(builders))
    return made


def _builders(
    fitting: Fitting, mean_tokens: float, chosen: np.ndarray | None, heuristics: bool
) -> list[Callable[[], Allocator]]:
    """One for each control: fitting them takes long, so none is fitted before its turn."""
    budgets, seed = fitting.budgets, fitting.seed
    curve = fitting.judged.part("curves").mean(axis=0)
    builders: list[Callable[[], Allocator]] = [
        partial(fixed, budgets, mean_budget=mean_tokens, seed=seed),
        partial(agnostic, budgets, mean_curve=curve, mean_budget=mean_tokens, seed=seed),
    ]
    if chosen is not None:
        builders.append(partial(Shuffled, chosen=chosen, seed=seed))
    builders.append(partial(Oracle, budgets=budgets, mean_budget=mean_tokens))
    for config in controls_at(mean_tokens) if heuristics else ():
        if fitting.judged.ids is not None or not looks_at_ids(config):
            builders.append(partial(build_allocator, config, fitting))
    return builders
