import numpy as np
import pytest
import torch

from bench.judging.perturbation import Draws, any_codes, near_codes


@pytest.fixture
def draws():
    return Draws.of(400, 6, seed=3)


def decode(ids):
    """Codes on a line, so that the nearest of a code are the ids beside it."""
    return ids[..., None].float()


def test_a_share_of_the_tokens_is_replaced(draws):
    ids, others = np.zeros((400, 6), int), np.ones((400, 6), int)
    assert (draws.perturbed(ids, others, alpha=0) == ids).all()
    assert (draws.perturbed(ids, others, alpha=1) == others).all()
    some, more = (draws.perturbed(ids, others, alpha=a) for a in (0.3, 0.6))
    assert some.mean() == pytest.approx(0.3, abs=0.03)
    assert (some <= more).all()  # What a small alpha replaces, a larger one does too.
    prefix = draws.perturbed(ids[:, :2], others[:, :2], alpha=0.3)
    assert (prefix == some[:, :2]).all()


def test_the_nearest_codes_are_alike_likely(draws):
    ids = np.full((400, 6), 5)
    one, three = (near_codes(draws, ids, neighbours=k, decode=decode, size=20) for k in (1, 3))
    assert (one == ids).all()
    found, counts = np.unique(three, return_counts=True)
    assert found.tolist() == [4, 5, 6]
    assert counts / 2400 == pytest.approx([1 / 3] * 3, abs=0.04)
    with pytest.raises(ValueError, match="21 exceeds the 20 codes"):
        near_codes(draws, ids, neighbours=21, decode=decode, size=20)


def test_any_code_is_alike_likely_in_each_of_its_parts(draws):
    ids = torch.from_numpy(any_codes(draws, (4, 3), tokens=5))
    assert ids.shape == (400, 5)
    for part in (ids % 4, ids // 4):
        shares = part.flatten().bincount() / part.numel()
        assert shares.tolist() == pytest.approx([1 / len(shares)] * len(shares), abs=0.04)
    together = torch.bincount(ids.flatten(), minlength=12) / ids.numel()
    assert together.tolist() == pytest.approx([1 / 12] * 12, abs=0.03)


def test_a_seed_names_the_draws():
    assert (Draws.of(3, 2, seed=1).which == Draws.of(3, 2, seed=1).which).all()
    assert (Draws.of(3, 2, seed=1).which != Draws.of(3, 2, seed=2).which).all()
