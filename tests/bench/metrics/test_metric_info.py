import pytest

from bench.compare.differences import DEFAULT_METRICS, STAND_INS
from bench.errors import UserError
from bench.metrics.metric_info import METRICS, metric_info
from bench.records.tables import RESULT_METRICS

WITHOUT_DIRECTION = {"min_tokens", "max_tokens", "mean_tokens_data", "policy_entropy", "collapsed"}
BOUNDS = {"kid_lite0_low", "kid_lite0_high"}


def test_captions_say_unit_and_direction():
    assert METRICS["psnr"].caption == "PSNR (dB), higher is better"
    assert METRICS["fd_lite0"].caption == "FD (Lite0), lower is better"


def test_what_is_shown_or_compared_is_declared():
    assert set(RESULT_METRICS) - WITHOUT_DIRECTION <= set(METRICS)
    assert {*DEFAULT_METRICS, *STAND_INS, *STAND_INS.values()} <= set(METRICS)


def test_what_a_run_measures_is_declared_where_a_direction_is_right(small_run):
    measured = small_run.record("elastic")["curve"][0].keys() - {"budget", "trained"}
    assert measured - WITHOUT_DIRECTION - BOUNDS <= set(METRICS)


def test_unknown_metrics_are_refused():
    with pytest.raises(UserError, match="--metric: unknown metric 'psnrr'; did you mean 'psnr'"):
        metric_info("psnrr", where="--metric")
