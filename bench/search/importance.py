"""How much each setting of a search matters for an objective, by Optuna."""

from __future__ import annotations

from collections.abc import Sequence

from bench.config.search import Distribution
from bench.search.drawing import Tried, frozen_trial

# Fewer trials tell nothing.
FEWEST = 8


def importances(
    spaces: dict[str, Distribution], tried: Sequence[Tried], *, objective: int
) -> dict[str, float]:
    """Shares that add up to 1, by the path of the setting; none where too few trials are done.

    fANOVA (Hutter et al. 2014): shares of the variance of a random forest that is fitted to the
    trials.
    """
    import optuna
    from optuna.importance import FanovaImportanceEvaluator, get_param_importances

    done = [one for one in tried if one.state == "done"]
    if len(done) < FEWEST or len({one.values[objective] for one in done}) < 2:
        return {}
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study()
    for one in done:
        study.add_trial(frozen_trial(Tried(one.settings, "done", (one.values[objective],)), spaces))
    evaluator = FanovaImportanceEvaluator(seed=0)
    found = get_param_importances(study, evaluator=evaluator)
    return {path: float(found[path]) for path in spaces}
