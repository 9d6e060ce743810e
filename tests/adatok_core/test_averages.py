import copy

import pytest
import torch
from torch import nn

from adatok_core.averages import average_pace, update_average


def pair():
    """An average of zeros and a model of ones, with a buffer each."""
    model = nn.BatchNorm1d(3)
    nn.init.ones_(model.weight)
    average = copy.deepcopy(model).requires_grad_(False)
    nn.init.zeros_(average.weight)
    model.running_mean += 5
    return average, model


@pytest.mark.parametrize("as_tensor", [False, True])
@pytest.mark.parametrize(
    ("decay", "step", "share"), [(0.9, 0, 0.9), (0.0, 0, 1.0), (0.99, 10, 9 / 20), (0.9, 999, 0.1)]
)
def test_an_average_starts_short_and_ends_at_its_decay(decay, step, share, as_tensor):
    average, model = pair()
    pace = average_pace(decay, step=step)
    update_average(average, model, pace=torch.tensor(pace) if as_tensor else pace)
    torch.testing.assert_close(average.weight, torch.full((3,), share))


def test_buffers_are_copied():
    average, model = pair()
    update_average(average, model, pace=0.9)
    assert torch.equal(average.running_mean, model.running_mean)
    assert average.running_mean is not model.running_mean
