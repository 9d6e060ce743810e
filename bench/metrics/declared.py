"""Every metric, declared once: name, unit, direction, place in tables, what it stands in for.

A metric takes its place in tables from the order of declaration. `METRICS` holds single metrics,
`FAMILIES` those whose names end in what they were measured at, such as `share/tokens_8`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from adatok_core.registry import Registry, RegistryError, suggestion
from bench.errors import UserError


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A metric for people and tables; `unit` is empty where it has none.

    `higher_is_better` is None where neither direction is better. `listed`: a column of `results`.
    `main`: its place among the metrics that a terminal has room for. `compared`: its place among
    those that `compare` takes unless told. `quality`: its place among the qualities of
    reconstructions that reports set side by side. `stands_in_for`: a better metric, beside which
    this one is left out.
    """

    name: str
    title: str
    unit: str = ""
    higher_is_better: bool | None = False
    listed: bool = False
    main: int | None = None
    compared: int | None = None
    quality: int | None = None
    stands_in_for: str | None = None

    @property
    def judged(self) -> bool:
        """Whether one direction is better than the other."""
        return self.higher_is_better is not None

    @property
    def direction(self) -> str:
        """`higher is better`, `lower is better`, or nothing."""
        if self.higher_is_better is None:
            return ""
        return f"{'higher' if self.higher_is_better else 'lower'} is better"

    @property
    def caption(self) -> str:
        """`PSNR (dB), higher is better`."""
        unit = f" ({self.unit})" if self.unit else ""
        return ", ".join(part for part in (f"{self.title}{unit}", self.direction) if part)


METRICS: Registry[Metric] = Registry("metric", group="adatok_bench.metrics", expects=Metric)
FAMILIES: dict[str, Metric] = {}


def declare(name: str, title: str, unit: str = "", **options: Any) -> None:
    """Declare a metric; see `Metric` for the options."""
    METRICS.add(name, Metric(name=name, title=title, unit=unit, **options), frame=2)


def declare_family(prefix: str, title: str, unit: str = "", **options: Any) -> None:
    """Declare all metrics whose names begin with `prefix`."""
    FAMILIES[prefix] = Metric(name=prefix, title=title, unit=unit, **options)


def declared_metric(name: str, *, where: str = "metric") -> Metric:
    """The declaration of a metric.

    Raises:
        UserError: there is no such metric; names the nearest.
    """
    if name not in METRICS:
        for prefix, family in FAMILIES.items():
            if name.startswith(prefix):
                return replace(family, name=name)
    try:
        return METRICS[name]
    except RegistryError:
        near = suggestion(name, list(METRICS))
        raise UserError(f"{where}: unknown metric '{name}'{near}") from None


def without_stand_ins(names: Iterable[str]) -> list[str]:
    """The names but those that stand in for another one among them."""
    names = list(names)
    return [name for name in names if declared_metric(name).stands_in_for not in names]


# Tokens and errors of reconstructions.
declare("mean_tokens", "mean tokens", "tokens per image", listed=True, main=0)
declare("min_tokens", "fewest tokens", "tokens", higher_is_better=None, listed=True)
declare("max_tokens", "most tokens", "tokens", higher_is_better=None, listed=True)
declare("psnr", "PSNR", "dB", higher_is_better=True, listed=True, main=2, quality=0)
declare("ssim", "SSIM", higher_is_better=True, listed=True, compared=4, quality=1)
declare("mse", "distortion (MSE)", listed=True, main=1, compared=0, quality=2)
declare("perceptual", "perceptual distance", listed=True, compared=1, quality=3)

# Distances of feature distributions, by extractor.
declare("fd_lite0", "FD (Lite0)", listed=True, main=4, compared=3, quality=5, stands_in_for="rfid")
declare("kid_lite0", "KID (Lite0)", listed=True)
declare("kid_lite0_low", "KID (Lite0), lower end", higher_is_better=None)
declare("kid_lite0_high", "KID (Lite0), upper end", higher_is_better=None)
declare("fd_lite0_infinite", "FD of infinitely many images (Lite0)")
declare(
    "fd_lite0_infinite_se",
    "FD of infinitely many images (Lite0), standard error",
    higher_is_better=None,
)
declare("is_lite0", "inception score (Lite0)", higher_is_better=True)
declare("precision_lite0", "precision (Lite0)", "share", higher_is_better=True)
declare("recall_lite0", "recall (Lite0)", "share", higher_is_better=True)
declare("fd_lite1", "FD (Lite1)", listed=True, quality=6)
declare("kid_lite1", "KID (Lite1)")
declare("kid_lite1_low", "KID (Lite1), lower end", higher_is_better=None)
declare("kid_lite1_high", "KID (Lite1), upper end", higher_is_better=None)
declare("fd_lite1_infinite", "FD of infinitely many images (Lite1)")
declare(
    "fd_lite1_infinite_se",
    "FD of infinitely many images (Lite1), standard error",
    higher_is_better=None,
)
declare("is_lite1", "inception score (Lite1)", higher_is_better=True)
declare("precision_lite1", "precision (Lite1)", "share", higher_is_better=True)
declare("recall_lite1", "recall (Lite1)", "share", higher_is_better=True)
declare("rfid", "rFID", listed=True, main=3, compared=2, quality=4)
declare("kid", "KID", listed=True)
declare("kid_low", "KID, lower end", higher_is_better=None)
declare("kid_high", "KID, upper end", higher_is_better=None)
declare("rfid_infinite", "rFID of infinitely many images")
declare("rfid_infinite_se", "rFID of infinitely many images, standard error", higher_is_better=None)
declare("isc", "inception score", higher_is_better=True)
declare("precision", "precision", "share", higher_is_better=True)
declare("recall", "recall", "share", higher_is_better=True)

# The allocation, the code and the speed.
declare("bits", "mean bits", "bits per image", listed=True)
declare(
    "allocation_skill", "allocation skill", higher_is_better=True, listed=True, main=5, compared=5
)
declare(
    "allocation_skill_perceptual",
    "allocation skill (perceptual)",
    higher_is_better=True,
    listed=True,
)
declare("encoder_passes", "encoder passes", "per image", listed=True)
declare("decoder_passes", "decoder passes", "per image", listed=True)
declare("policy_entropy", "entropy of the policy", "nats", higher_is_better=None, listed=True)
declare("collapsed", "collapsed", higher_is_better=None, listed=True)
declare("codebook_usage", "codebook usage", "share", higher_is_better=True, listed=True)
declare("codebook_entropy_bits", "entropy of the codes", "bits", higher_is_better=None)
declare("bits_per_token", "bits per token", "bits", higher_is_better=None)
declare("untrained_share", "images at lengths not trained", "share", higher_is_better=None)
declare("threshold", "threshold", higher_is_better=None)
declare(
    "policy_parameter_share",
    "policy's parameters",
    "share of the tokenizer's",
    higher_is_better=None,
)
declare(
    "policy_encoder_parameter_share",
    "policy's parameters",
    "share of the encoder's",
    higher_is_better=None,
)
declare("policy_time_share", "policy's time", "share of the encoder's", higher_is_better=None)
declare(
    "encode_images_per_second", "encoding", "images per second", higher_is_better=True, listed=True
)
declare(
    "decode_images_per_second", "decoding", "images per second", higher_is_better=True, listed=True
)
declare_family("share/tokens_", "images with this budget", "share", higher_is_better=None)

# Generated images.
declare(
    "mean_tokens_data",
    "mean tokens of the data",
    "tokens per image",
    higher_is_better=None,
    listed=True,
)
declare("gfid", "gFID", listed=True, main=6, compared=6)
declare("gfid_reconstructions", "gFID of reconstructions", listed=True)
declare("gkid", "gKID")
declare("gkid_low", "gKID, lower end", higher_is_better=None)
declare("gkid_high", "gKID, upper end", higher_is_better=None)
declare("gkid_reconstructions", "gKID of reconstructions")
declare("gisc", "inception score of samples", higher_is_better=True)
declare("gprecision", "precision of samples", "share", higher_is_better=True)
declare("grecall", "recall of samples", "share", higher_is_better=True)
declare("gfd_lite0", "gFD (Lite0)", listed=True, main=7, compared=7, stands_in_for="gfid")
declare("gfd_lite0_reconstructions", "gFD of reconstructions (Lite0)", listed=True)
declare("gkd_lite0", "gKD (Lite0)", listed=True, compared=8)
declare("gkd_lite0_low", "gKD (Lite0), lower end", higher_is_better=None)
declare("gkd_lite0_high", "gKD (Lite0), upper end", higher_is_better=None)
declare("gkd_lite0_reconstructions", "gKD of reconstructions (Lite0)", listed=True)
declare("gis_lite0", "inception score of samples (Lite0)", higher_is_better=True)
declare("gprecision_lite0", "precision of samples (Lite0)", "share", higher_is_better=True)
declare("grecall_lite0", "recall of samples (Lite0)", "share", higher_is_better=True)
declare("gfd_lite1", "gFD (Lite1)")
declare("gfd_lite1_reconstructions", "gFD of reconstructions (Lite1)")
declare("gkd_lite1", "gKD (Lite1)")
declare("gkd_lite1_low", "gKD (Lite1), lower end", higher_is_better=None)
declare("gkd_lite1_high", "gKD (Lite1), upper end", higher_is_better=None)
declare("gkd_lite1_reconstructions", "gKD of reconstructions (Lite1)")
declare("gis_lite1", "inception score of samples (Lite1)", higher_is_better=True)
declare("gprecision_lite1", "precision of samples (Lite1)", "share", higher_is_better=True)
declare("grecall_lite1", "recall of samples (Lite1)", "share", higher_is_better=True)
declare("nats_per_token", "held-out cross-entropy", "nats per token", listed=True, main=8)
declare("nats_per_image", "held-out cross-entropy", "nats per image")
declare("length_nats_per_image", "held-out cross-entropy of lengths", "nats per image")
declare("unended_share", "sequences without an end", "share", listed=True)
declare("length_total_variation", "total variation of lengths", "share", listed=True)
declare("length_wasserstein_1", "Wasserstein-1 of lengths", "tokens", listed=True)

# A throughput names what it measured.
RATE = {"title": "throughput", "unit": "images per second", "higher_is_better": True}
declare_family("images_per_second/fixed/", **RATE, listed=True)
declare_family("images_per_second/", **RATE)
declare_family("ratio/", "speed against fixed lengths", higher_is_better=True, listed=True)
declare_family("of_ideal/", "speed against the ideal", "share", higher_is_better=True)

LISTED = tuple(name for name, metric in METRICS.items() if metric.listed)


def _ranked(rank: str) -> tuple[str, ...]:
    places = {name: getattr(metric, rank) for name, metric in METRICS.items()}
    return tuple(sorted((n for n, at in places.items() if at is not None), key=places.__getitem__))


MAIN = _ranked("main")
COMPARED = _ranked("compared")
QUALITIES = _ranked("quality")
