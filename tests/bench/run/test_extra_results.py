import pytest

from bench.errors import UserError
from bench.run.extra_results import extra_metrics


def described(**metrics):
    return {"stage": "own", "result": {"metrics": metrics}}


def test_metrics_of_several_stages():
    stages = [described(psnr=20.0), {"stage": "other", "result": {"count": 3}}, described(ssim=1)]
    assert extra_metrics(stages, {"mse"}) == {"psnr": 20.0, "ssim": 1}


@pytest.mark.parametrize(
    ("metrics", "message"),
    [
        ({"pnsr": 1.0}, "own: metrics: unknown metric 'pnsr'; did you mean 'psnr'?"),
        ({"mse": 1.0}, "own: metrics: the cell has another 'mse'; rename this one"),
        ({"psnr": "high"}, "own: metrics: 'psnr' is 'high', not a number"),
        ({"psnr": True}, "own: metrics: 'psnr' is True, not a number"),
    ],
)
def test_what_is_no_metric_is_refused(metrics, message):
    with pytest.raises(UserError) as error:
        extra_metrics([described(**metrics)], {"mse"})
    assert str(error.value) == message
