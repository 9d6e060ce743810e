"""What each metric is called, its unit, and which way is better: declared here and nowhere else."""

from __future__ import annotations

from dataclasses import dataclass

from bench.errors import UserError, suggestion


@dataclass(frozen=True)
class MetricInfo:
    """A metric for people; `unit` is empty where it has none."""

    title: str
    unit: str
    higher_is_better: bool

    @property
    def direction(self) -> str:
        """`higher is better`, or `lower is better`."""
        return f"{'higher' if self.higher_is_better else 'lower'} is better"

    @property
    def caption(self) -> str:
        """`PSNR (dB), higher is better`."""
        unit = f" ({self.unit})" if self.unit else ""
        return f"{self.title}{unit}, {self.direction}"


METRICS = {
    "mean_tokens": MetricInfo("mean tokens", "tokens per image", False),
    "bits": MetricInfo("mean bits", "bits per image", False),
    "mse": MetricInfo("distortion (MSE)", "", False),
    "psnr": MetricInfo("PSNR", "dB", True),
    "ssim": MetricInfo("SSIM", "", True),
    "perceptual": MetricInfo("perceptual distance", "", False),
    "rfid": MetricInfo("rFID", "", False),
    "rfid_infinite": MetricInfo("rFID of infinitely many images", "", False),
    "kid": MetricInfo("KID", "", False),
    "isc": MetricInfo("inception score", "", True),
    "precision": MetricInfo("precision", "share", True),
    "recall": MetricInfo("recall", "share", True),
    "fd_lite0": MetricInfo("FD (Lite0)", "", False),
    "fd_lite0_infinite": MetricInfo("FD of infinitely many images (Lite0)", "", False),
    "kid_lite0": MetricInfo("KID (Lite0)", "", False),
    "is_lite0": MetricInfo("inception score (Lite0)", "", True),
    "precision_lite0": MetricInfo("precision (Lite0)", "share", True),
    "recall_lite0": MetricInfo("recall (Lite0)", "share", True),
    "fd_lite1": MetricInfo("FD (Lite1)", "", False),
    "fd_lite1_infinite": MetricInfo("FD of infinitely many images (Lite1)", "", False),
    "kid_lite1": MetricInfo("KID (Lite1)", "", False),
    "is_lite1": MetricInfo("inception score (Lite1)", "", True),
    "precision_lite1": MetricInfo("precision (Lite1)", "share", True),
    "recall_lite1": MetricInfo("recall (Lite1)", "share", True),
    "gfid": MetricInfo("gFID", "", False),
    "gfid_reconstructions": MetricInfo("gFID of reconstructions", "", False),
    "gkid": MetricInfo("gKID", "", False),
    "gisc": MetricInfo("inception score of samples", "", True),
    "gprecision": MetricInfo("precision of samples", "share", True),
    "grecall": MetricInfo("recall of samples", "share", True),
    "gfd_lite0": MetricInfo("gFD (Lite0)", "", False),
    "gfd_lite0_reconstructions": MetricInfo("gFD of reconstructions (Lite0)", "", False),
    "gkd_lite0": MetricInfo("gKD (Lite0)", "", False),
    "gkd_lite0_reconstructions": MetricInfo("gKD of reconstructions (Lite0)", "", False),
    "gis_lite0": MetricInfo("inception score of samples (Lite0)", "", True),
    "gprecision_lite0": MetricInfo("precision of samples (Lite0)", "share", True),
    "grecall_lite0": MetricInfo("recall of samples (Lite0)", "share", True),
    "gfd_lite1": MetricInfo("gFD (Lite1)", "", False),
    "gkd_lite1": MetricInfo("gKD (Lite1)", "", False),
    "gis_lite1": MetricInfo("inception score of samples (Lite1)", "", True),
    "gprecision_lite1": MetricInfo("precision of samples (Lite1)", "share", True),
    "grecall_lite1": MetricInfo("recall of samples (Lite1)", "share", True),
    "nats_per_token": MetricInfo("held-out cross-entropy", "nats per token", False),
    "nats_per_image": MetricInfo("held-out cross-entropy", "nats per image", False),
    "unended_share": MetricInfo("sequences without an end", "share", False),
    "length_total_variation": MetricInfo("total variation of lengths", "share", False),
    "length_wasserstein_1": MetricInfo("Wasserstein-1 of lengths", "tokens", False),
    "allocation_skill": MetricInfo("allocation skill", "", True),
    "allocation_skill_perceptual": MetricInfo("allocation skill (perceptual)", "", True),
    "codebook_usage": MetricInfo("codebook usage", "share", True),
    "encode_images_per_second": MetricInfo("encoding", "images per second", True),
    "decode_images_per_second": MetricInfo("decoding", "images per second", True),
    "encoder_passes": MetricInfo("encoder passes", "per image", False),
    "decoder_passes": MetricInfo("decoder passes", "per image", False),
}


def metric_info(name: str, *, where: str = "metric") -> MetricInfo:
    """What is declared of a metric.

    Raises:
        UserError: there is no such metric; names the nearest.
    """
    if name not in METRICS:
        raise UserError(f"{where}: unknown metric '{name}'{suggestion(name, list(METRICS))}")
    return METRICS[name]
