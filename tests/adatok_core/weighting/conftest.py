import pytest
import torch

from adatok_core.weighting import StepView


def unused():
    raise AssertionError("this scheme has no use for it at this step")


@pytest.fixture
def view():
    """`view(step=1, policy=, fidelity=, gradients=, point=)`: only what the scheme may look at."""

    def view(*, step=1, policy=None, fidelity=None, gradients=None, point=None):
        return StepView(
            step=step,
            policy=policy,
            fidelity=fidelity,
            gradients=unused if gradients is None else lambda: torch.as_tensor(gradients),
            point=unused if point is None else lambda: point,
        )

    return view
