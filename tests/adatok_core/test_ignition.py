import pytest
import torch

from adatok_core.ignition import Ignition, ignition, mean_colour_loss

FLAT = 0.02


def history(*losses):
    return [{"step": 50 * n, "pixel_loss": loss} for n, loss in enumerate(losses, 1)]


def falling(start, end, rows=40):
    return [end + (start - end) * 0.8**row for row in range(rows)]


@pytest.mark.parametrize(
    ("losses", "verdict"),
    [
        (falling(0.1, 0.0219), "plateau"),  # 16.6 dB
        (falling(0.1, 0.0186), "plateau"),  # 17.3 dB
        (falling(0.1, 0.0145), "ignited"),  # 18.4 dB
        (falling(0.1, 0.002), "ignited"),
        ([*[0.0186] * 30, *falling(0.0186, 0.012)], "ignited"),  # late
        ([*falling(0.1, 0.0186), 0.015], "plateau"),  # one lucky batch of many
        ([0.1], "plateau"),
    ],
)
def test_a_history_that_ends_near_the_mean_colour_is_a_plateau_at_any_contrast(losses, verdict):
    judged = ignition(history(*losses), mean_colour=FLAT)
    assert judged.verdict == verdict
    scaled = ignition(history(*(9 * loss for loss in losses)), mean_colour=9 * FLAT)
    assert scaled.verdict == verdict
    assert scaled.explained == pytest.approx(judged.explained)


def test_the_explained_share_is_of_the_last_quarter():
    for earlier, rows in ((15, 5), (2, 4)):
        losses = [*[0.5] * earlier, *[0.01] * (rows - 2), 0.012, 0.008]
        judged = ignition(history(*losses), mean_colour=FLAT)
        assert judged == Ignition(pytest.approx(0.5), "ignited")
    assert ignition(history(0.0), mean_colour=0.0).verdict == "ignited"
    with pytest.raises(ValueError, match="no row"):
        ignition([], mean_colour=FLAT)


def test_the_mean_colour_is_each_image_s_own():
    images = torch.zeros(2, 3, 4, 4, dtype=torch.uint8)
    images[1] = 200  # without variation, whatever its colour
    images[0, 0, :2] = 255
    assert mean_colour_loss(images, kind="l2") == pytest.approx(0.25 / 6)
    assert mean_colour_loss(images, kind="l1") == pytest.approx(0.5 / 6)
