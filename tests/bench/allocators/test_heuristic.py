import numpy as np
import pytest

from bench.allocators.allocation import allocation_skill, expected_skill
from bench.allocators.heuristic import Heuristic, ScoreCurves


def test_bins_hold_the_mean_curve_of_a_quantile():
    scores = np.array([1.0, 2.0, 3.0, 4.0, 10.0, 20.0])
    curves = np.array([[6.0, 1.0], [4.0, 1.0], [3.0, 0.0], [1.0, 2.0], [9.0, 3.0], [7.0, 1.0]])
    fitted = ScoreCurves.fitted(scores, curves, bins=3)
    assert fitted.scores.tolist() == [1.5, 3.5, 15.0]
    assert fitted.curves.tolist() == [[5, 1], [2, 1], [8, 2]]
    assert fitted(np.array([0.0, 1.5, 2.5, 15.0, 99.0])).tolist() == [
        [5, 1],
        [5, 1],
        [3.5, 1],
        [8, 2],
        [8, 2],
    ]


def test_images_of_one_score_share_a_bin():
    fitted = ScoreCurves.fitted(np.array([2.0, 2.0, 2.0, 5.0]), np.array([[1.0], [2], [3], [8]]))
    assert fitted.scores.tolist() == [2, 5]
    assert fitted.curves.tolist() == [[2], [8]]


def skill_of(score, training, judged, budgets):
    heuristic = Heuristic.fitted(
        "made",
        score,
        sees=frozenset({"curves"}),
        budgets=budgets,
        mean_budget=6,
        training=training,
    )
    return allocation_skill(judged.curves, budgets, heuristic.allocate(judged).chosen)


def complexity(seen):
    """The synthetic images' complexity, back from their curves."""
    return -np.log(seen.curves[:, -1] / seen.curves[:, 0])


def test_a_score_that_knows_the_complexity_is_almost_the_oracle(training, judged, budgets):
    assert skill_of(complexity, training, judged, budgets) > 0.9


def test_the_direction_of_a_score_does_not_matter(training, judged, budgets):
    assert skill_of(lambda seen: -complexity(seen), training, judged, budgets) > 0.9


def test_a_score_that_knows_nothing_has_no_skill(images, budgets):
    """What it learns is noise of the bins, which can only cost."""
    skills = []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        skill = skill_of(
            lambda seen, rng=rng: rng.random(seen.count),
            images(2000, seed=100 + seed),
            images(500, seed=200 + seed),
            budgets,
        )
        skills.append(skill)
    error = np.std(skills) / len(skills) ** 0.5
    assert np.mean(skills) == pytest.approx(0, abs=0.1)
    assert np.mean(skills) < 3 * error


def test_expected_skill_is_the_mean_over_shuffles(judged, budgets):
    rng = np.random.default_rng(0)
    chosen = np.argsort(np.argsort(complexity(judged))) * 4 // judged.count
    expected = expected_skill(judged.curves, budgets, chosen)
    draws = [allocation_skill(judged.curves, budgets, rng.permutation(chosen)) for _ in range(400)]
    assert expected == pytest.approx(np.mean(draws), abs=4 * np.std(draws) / 20)
    assert expected < 0
