import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from adatok_core.budgets import heads_of, prefix_mask, sample_budgets

deterministic = settings(deadline=None, derandomize=True, max_examples=50)
budget_sets = st.sets(st.integers(1, 40), min_size=1, max_size=6).map(lambda b: tuple(sorted(b)))


def draw(budgets, count, *, share=0.0, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return sample_budgets(budgets, count, full_budget_share=share, generator=generator)


def test_candidates_are_drawn_uniformly():
    drawn = draw((2, 4, 8, 16), 4000)
    values, counts = drawn.unique(return_counts=True)
    assert drawn.dtype == torch.int64
    assert values.tolist() == [2, 4, 8, 16]
    assert ((counts - 1000).abs() < 120).all()  # 4.4 standard deviations


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_full_budget_share_is_added_to_the_uniform_draw(share):
    full = (draw((2, 4, 8, 16), 4000, share=share) == 16).double().mean()
    assert full == pytest.approx(share + (1 - share) / 4, abs=0.03)


@deterministic
@given(budget_sets, st.floats(0, 1), st.integers(0, 1000))
def test_draws_are_candidates_and_depend_on_the_generator_alone(budgets, share, seed):
    state = torch.get_rng_state()
    drawn = draw(budgets, 20, share=share, seed=seed)
    assert drawn.shape == (20,)
    assert set(drawn.tolist()) <= set(budgets)
    assert torch.equal(drawn, draw(budgets, 20, share=share, seed=seed))
    assert torch.equal(state, torch.get_rng_state())


def test_another_seed_draws_other_budgets():
    assert not torch.equal(draw((2, 4, 8), 50, seed=0), draw((2, 4, 8), 50, seed=1))


@deterministic
@given(budget_sets)
def test_every_budget_is_served_by_the_smallest_head_that_reaches_it(budgets):
    kept = torch.arange(1, budgets[-1] + 1)
    expected = [min(m for m, b in enumerate(budgets) if b >= k) for k in kept.tolist()]
    assert heads_of(kept, budgets).tolist() == expected


@pytest.mark.parametrize("outside", [0, -1, 9])
def test_a_budget_outside_the_tokenizer_is_refused(outside):
    with pytest.raises(ValueError, match=r"1\.\.8"):
        heads_of(torch.tensor([4, outside]), (2, 8))


def test_no_images_have_no_heads():
    assert heads_of(torch.tensor([], dtype=torch.int64), (2, 8)).tolist() == []


def test_prefix_mask_marks_the_first_tokens():
    mask = prefix_mask(torch.tensor([1, 3, 0]), 3)
    assert mask.dtype == torch.bool
    assert mask.int().tolist() == [[1, 0, 0], [1, 1, 1], [0, 0, 0]]
