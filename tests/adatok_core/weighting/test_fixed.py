import pytest

from adatok_core.config import FixedWeighting
from adatok_core.weighting.fixed import Fixed


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_weights_never_move(share, view):
    weighting = Fixed(FixedWeighting(efficiency=share))
    weighting.begin((0.1, 0.9))
    for step in range(5):
        weighting.update(view(step=step + 1))
    assert weighting.weights.tolist() == pytest.approx([1 - share, share])
