import pytest
import torch

from adatok_core.config import LengthSampling
from adatok_core.length_weights import DECAY, LengthWeights

BUDGETS = (2, 4, 8)
ALL = torch.tensor(BUDGETS)


def weights_of(*, chosen=None, **options):
    return LengthWeights(BUDGETS, 12, config=LengthSampling(**options), chosen=chosen)


def test_the_policy_weighs_a_budget_by_how_often_it_chose_it():
    chosen = torch.tensor([2, 3, 3, 4])  # budgets 2, 4, 4, 4: never 8
    weights = weights_of(weights="policy", chosen=chosen)
    torch.testing.assert_close(weights.of(ALL), torch.tensor([0.75, 2.25, 0.0]))
    assert torch.equal(weights.of(torch.tensor([[3], [1]])), weights.of(ALL[[1, 0]])[:, None])
    often = weights_of(weights="policy", chosen=chosen, distribution="policy", share=1.0)
    torch.testing.assert_close(often.of(ALL), torch.tensor([0.4, 1.2, 0.0]))
    with pytest.raises(ValueError, match=r"^lengths\.weights: the policy chose none"):
        weights_of(weights="policy", chosen=torch.tensor([4]), full_share=1.0)


@pytest.mark.parametrize("options", [{}, {"full_share": 0.25}, {"decodes": "sandwich"}])
def test_the_inverse_distortion_weighs_budgets_alike_once_seen(options):
    weights = weights_of(weights="inverse_distortion", **options)
    assert weights.of(ALL).tolist() == [1, 1, 1]
    weights.observe(torch.tensor([2, 1, 8]), torch.tensor([0.5, 0.3, 0.1]))
    now = weights.of(ALL)
    # Budget 4 has not been seen: as the mean of all, 0.3.
    torch.testing.assert_close(now * torch.tensor([0.4, 0.3, 0.1]), now[:1].expand(3) * 0.4)
    assert (weights.shares * now).sum().item() == pytest.approx(1)


def test_older_distortions_count_for_less_and_are_a_state():
    weights = weights_of(weights="inverse_distortion")
    weights.observe(ALL, torch.tensor([0.4, 0.2, 0.1]))
    weights.forget()
    weights.observe(ALL, torch.tensor([0.1, 0.1, 0.1]))
    means = (DECAY * torch.tensor([0.4, 0.2, 0.1]) + 0.1) / (DECAY + 1)
    torch.testing.assert_close(weights.of(ALL), 3 / means / (1 / means).sum())
    other = weights_of(weights="inverse_distortion")
    other.load_state_dict(weights.state_dict())
    assert torch.equal(other.of(ALL), weights.of(ALL))
