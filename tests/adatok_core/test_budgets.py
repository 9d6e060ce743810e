import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from adatok_core.budgets import heads_of, prefix_mask

deterministic = settings(deadline=None, derandomize=True, max_examples=50)
budget_sets = st.sets(st.integers(1, 40), min_size=1, max_size=6).map(lambda b: tuple(sorted(b)))


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
