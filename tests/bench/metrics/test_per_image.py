import pytest
import torch

from bench.errors import UserError
from bench.metrics.metric import Metric
from bench.metrics.per_image import ALWAYS, load_measures, require_measured
from bench.metrics.pixel import mse, psnr
from bench.metrics.ssim import ssim


def test_every_bank_measures_errors():
    generator = torch.Generator().manual_seed(0)
    a, b = torch.randint(0, 256, (2, 5, 3, 16, 16), dtype=torch.uint8, generator=generator)
    measures = load_measures(())
    assert tuple(measures) == ALWAYS == ("mse", "psnr", "ssim")
    assert torch.equal(measures["mse"](a, b), mse(b, a))
    assert torch.equal(measures["psnr"](a, b), psnr(mse(b, a)))
    assert torch.equal(measures["ssim"](a, b), ssim(b, a))


def test_a_metric_of_sets_measures_no_images():
    with pytest.raises(ValueError, match="rfid is not measured image by image"):
        Metric(name="rfid", title="rFID").load_measure()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("psnr", "bank.metrics: 'psnr' is measured always; remove it here"),
        ("fd_lite0", "bank.metrics: 'fd_lite0' declares no `measure`"),
        ("ssmi", "bank.metrics: unknown metric 'ssmi'; did you mean 'ssim'?"),
    ],
)
def test_names_that_no_suite_may_give_are_refused(name, said):
    with pytest.raises(UserError) as error:
        require_measured([name])
    assert str(error.value).startswith(said)
