import pytest

from adatok_core.config import TrainingConfig
from adatok_core.schedule import learning_rate


def test_learning_rate_warms_up_and_falls_to_a_tenth():
    config = TrainingConfig(steps=101, warmup_steps=20, learning_rate=2.0)
    rates = [learning_rate(step, config) for step in range(101)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[9] == pytest.approx(1.0)
    assert rates[19] == rates[20] == pytest.approx(2.0)
    assert rates[60] == pytest.approx(1.1)  # half of the cosine: between peak and a tenth of it
    assert rates[100] == pytest.approx(0.2)
    assert rates[:20] == sorted(rates[:20])
    assert rates[20:] == sorted(rates[20:], reverse=True)


@pytest.mark.parametrize(("steps", "warmup"), [(1, 0), (2, 0), (5, 4)])
def test_short_runs_have_a_learning_rate_too(steps, warmup):
    config = TrainingConfig(steps=steps, warmup_steps=warmup, learning_rate=1.0)
    assert all(0 < learning_rate(step, config) <= 1 for step in range(steps))
