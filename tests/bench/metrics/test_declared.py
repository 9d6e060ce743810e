import pytest

from bench.errors import UserError
from bench.metrics.declared import (
    COMPARED,
    LISTED,
    MAIN,
    METRICS,
    QUALITIES,
    declared_metric,
    without_stand_ins,
)


def test_captions_say_unit_and_direction():
    assert METRICS["psnr"].caption == "PSNR (dB), higher is better"
    assert METRICS["fd_lite0"].caption == "FD (Lite0), lower is better"
    assert METRICS["lpips"].caption == "LPIPS (VGG16), lower is better"
    assert METRICS["stlpips"].caption == "ST-LPIPS (AlexNet), lower is better"
    assert METRICS["fd_dinov2"].caption == "FD (DINOv2 ViT-L/14), lower is better"
    assert METRICS["gfd_dinov2"].caption == "gFD (DINOv2 ViT-L/14), lower is better"


def test_stand_ins_are_left_out_beside_what_they_stand_in_for():
    assert without_stand_ins(["psnr", "fd_lite0", "rfid"]) == ["psnr", "rfid"]
    assert without_stand_ins(["psnr", "fd_lite0"]) == ["psnr", "fd_lite0"]


def test_a_family_stands_for_all_its_members():
    assert declared_metric("share/tokens_8").name == "share/tokens_8"
    assert declared_metric("ratio/refilled/batch_32").higher_is_better


def test_places_are_in_order():
    assert MAIN[:3] == ("mean_tokens", "mse", "psnr")
    assert COMPARED[0] == "mse"
    assert {*MAIN, *COMPARED} <= {*LISTED}
    assert {"lpips", "stlpips", "fd_dinov2", "fd_dinov2_small"} <= {*COMPARED} & {*QUALITIES}


def test_unknown_metrics_are_refused():
    with pytest.raises(UserError, match="--metric: unknown metric 'psnrr'; did you mean 'psnr'"):
        declared_metric("psnrr", where="--metric")
