import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from adatok_core.price import overspending, price_for

BUDGETS = torch.tensor([2.0, 4.0, 8.0, 16.0])
EFFICIENCY = 1 - BUDGETS / 16


def scores_of(seed, *, count=60, scale=1.0):
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(count, 4, generator=generator)


def chosen(scores, price):
    return (scores + price * EFFICIENCY).argmax(-1)


def price_of_mean(scores, target):
    excess = overspending(
        budgets=BUDGETS, fidelity=torch.zeros(len(scores), 4), mean_budget=target, quality_drop=None
    )
    return price_for(scores, EFFICIENCY, excess)


@given(
    seed=st.integers(0, 10_000),
    prices=st.tuples(st.floats(-50, 50), st.floats(-50, 50)).map(sorted),
)
def test_no_image_spends_more_at_a_higher_price(seed, prices):
    scores = scores_of(seed)
    low, high = (BUDGETS[chosen(scores, price)] for price in prices)
    assert (high <= low).all()


@given(
    seed=st.integers(0, 10_000), target=st.floats(2, 16), scale=st.sampled_from([1e-3, 1.0, 1e3])
)
def test_the_mean_budget_comes_within_one_image_s_step_of_its_target(seed, target, scale):
    scores = scores_of(seed, scale=scale)
    spent = BUDGETS[chosen(scores, price_of_mean(scores, target))].mean().item()
    assert abs(spent - target) <= (16 - 2) / len(scores)


@given(seed=st.integers(0, 10_000), target=st.floats(0.05, 0.95))
def test_the_quality_given_up_comes_within_one_image_s_step_of_its_target(seed, target):
    generator = torch.Generator().manual_seed(seed)
    gains = torch.rand(60, 4, generator=generator)
    fidelity = gains.cumsum(-1) / gains.sum(-1).mean()
    excess = overspending(budgets=BUDGETS, fidelity=fidelity, mean_budget=None, quality_drop=target)
    scores = fidelity + 0.1 * scores_of(seed)
    columns = chosen(scores, price_for(scores, EFFICIENCY, excess))
    drop = (fidelity[:, -1] - fidelity[torch.arange(60), columns]).mean().item()
    step = (fidelity[:, -1] - fidelity[:, 0]).max().item() / 60
    reachable = (fidelity[:, -1] - fidelity[:, 0]).mean().item()
    assert abs(drop - min(target, reachable)) <= step


@pytest.mark.parametrize(("target", "column"), [(2.0, 0), (16.0, 3)])
def test_the_ends_of_the_range_are_reached(target, column):
    scores = scores_of(3, scale=20)
    assert (chosen(scores, price_of_mean(scores, target)) == column).all()


@pytest.mark.parametrize(("target", "budget"), [(2.9, 2), (3.1, 4), (5.5, 4), (6.5, 8), (13, 16)])
def test_images_that_tie_take_the_nearest_common_budget(target, budget):
    # Concave scores: every budget is the best one at some price.
    scores = torch.tensor([[0.0, 1.0, 1.8, 2.2]]).expand(50, 4)
    columns = chosen(scores, price_of_mean(scores, target))
    assert (BUDGETS[columns] == budget).all()


@given(seed=st.integers(0, 10_000), target=st.floats(2.1, 15.9))
def test_the_choice_does_not_hang_on_rounding(seed, target):
    # 50 images that look alike and 10 that do not.
    scores = torch.cat([scores_of(seed, count=1).expand(50, -1), scores_of(seed + 1, count=10)])
    price = price_of_mean(scores, target)
    there = chosen(scores, price)
    assert torch.equal(chosen(scores.double(), price), there)
    biased = (scores + 0.3) + (price * EFFICIENCY - 0.3)
    assert torch.equal(biased.argmax(-1), there)


@pytest.mark.parametrize(("target", "budget"), [(2.0, 2), (16.0, 16)])
def test_scores_that_are_all_equal_leave_the_choice_to_the_price(target, budget):
    scores = torch.zeros(10, 4)
    assert (BUDGETS[chosen(scores, price_of_mean(scores, target))] == budget).all()


def test_a_constraint_that_holds_costs_nothing_in_the_ranking():
    # Half the images take each end anyway: a price of 0 is right, and any other stays close to it.
    scores = torch.zeros(10, 4)
    scores[:5, 0], scores[5:, 3] = 1.0, 1.0
    columns = chosen(scores, price_of_mean(scores, 9.0))
    assert torch.equal(columns, scores.argmax(-1))


def test_overspending_is_the_excess_of_tokens_or_the_quality_still_to_give_up():
    fidelity = torch.tensor([[0.0, 0.5, 0.9, 1.0], [0.1, 0.2, 0.3, 0.8]])
    columns = torch.tensor([1, 2])
    tokens = overspending(budgets=BUDGETS, fidelity=fidelity, mean_budget=5.0, quality_drop=None)
    assert tokens(columns) == pytest.approx((4 + 8) / 2 - 5)
    quality = overspending(budgets=BUDGETS, fidelity=fidelity, mean_budget=None, quality_drop=0.4)
    assert quality(columns) == pytest.approx(0.4 - (0.5 + 0.5) / 2)
