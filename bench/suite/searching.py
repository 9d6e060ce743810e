"""The searches of a suite's arms: their trials, and the cells that these are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench.config.search import Search
from bench.config.settings import plain
from bench.errors import UserError
from bench.files import content_key
from bench.metrics.declared import declared_metric
from bench.search.drawing import Tried, draw
from bench.search.trials import Drawn, read_trials
from bench.suite.cells import Cell, SearchOf
from bench.suite.expansion import Arm

# `expand(drawn=settings)`: the cells of a trial.
Expand = Callable[..., list[Cell]]


@dataclass(frozen=True)
class ArmSearch:
    """The search of an arm; `name` is that of its file in a store, `drawn` are the trials so far.

    Trials are the same for the same settings of the arm, however many samples are asked for.
    """

    arm: str
    name: str
    search: Search
    drawn: tuple[Drawn, ...]
    expand: Expand

    def cells_of(self, number: int) -> list[Cell]:
        """The cells of a trial that was drawn; none of one that was refused.

        Raises:
            UserError: its settings are no valid cell.
        """
        drawn = self.drawn[number]
        if drawn.refused is not None:
            return []
        of = SearchOf(self.name, self.search, number)
        return [replace(cell, search=of) for cell in self.expand(drawn=drawn.settings)]


def search_of(
    arm: Arm,
    search: Search,
    about: Sequence[Any],
    expand: Expand,
    store: Path | None,
    *,
    where: str,
) -> ArmSearch:
    """The search of an arm, with the trials that the `store` has and those known without any.

    `about` is all that its results depend on besides. Ends of what is drawn are tried as cells.

    Raises:
        UserError: a metric or a setting is none; the file of its trials is damaged.
    """
    for metric in search.metric:
        declared_metric(metric, where=f"{where}: search.metric")
    asked = {key: value for key, value in plain(search).items() if key != "samples"}
    name = content_key([*about, arm.name, arm.set, arm.sweep, asked])
    drawn = (read_trials(store, name) if store else [])[: search.samples]
    while len(drawn) < search.known_at_once:
        drawn.append(Drawn(draw(search, [Tried(one.settings) for one in drawn])))
    for path, distribution in search.distributions.items():
        for value in distribution.ends:
            expand(drawn={**drawn[0].settings, path: value})
    return ArmSearch(arm.name, name, search, tuple(drawn), expand)


def about_search(one: ArmSearch, *, suite: str) -> dict[str, Any]:
    """What is written down beside the trials of a search, for people."""
    return {"suite": suite, "arm": one.arm, "search": plain(one.search)}


def refuse_searched_sources(
    cells: Sequence[Cell], searches: Sequence[ArmSearch], path: Path
) -> None:
    """Refuse lengths that come from the cells of a search, which are not all known.

    Raises:
        UserError: names the arm.
    """
    arms = {one.arm for one in searches}
    for cell in cells:
        if cell.reference is not None and cell.reference.mean_budget_of in arms:
            raise UserError(
                f"{path}: arm '{cell.arm}': tokenizer.budgets.mean_budget_of: "
                f"'{cell.reference.mean_budget_of}' is searched, and its cells are not known yet; "
                "name an arm with a sweep"
            )
