"""Every metric, declared once: name, unit, direction, place in tables, what it stands in for.

A metric takes its place in tables from the order of declaration. `METRICS` holds single metrics,
`FAMILIES` those whose names end in what they were measured at, such as `share/tokens_8`. Metrics of
features are declared by their extractor; those of other packages come last.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, overload

from adatok_core.registry import Entry, Registry, RegistryError, suggestion
from bench.errors import UserError
from bench.metrics.extractors import EXTRACTORS, OWN
from bench.metrics.metric import Metric


def _of_plugins() -> Iterator[Entry]:
    """Metrics of the extractors of other packages."""
    for name, extractor in EXTRACTORS.items():
        if name not in OWN:
            origin = EXTRACTORS.entry(name).origin
            for metric in (*extractor.of_reconstructions(), *extractor.of_samples()):
                yield Entry(metric.name, "", origin, metric)


METRICS: Registry[Metric] = Registry(
    "metric", group="adatok_bench.metrics", expects=Metric, further=_of_plugins
)
FAMILIES: dict[str, Metric] = {}


def declare(name: str, title: str, unit: str = "", **options: Any) -> None:
    """Declare a metric; see `Metric` for the options."""
    METRICS.add(name, Metric(name=name, title=title, unit=unit, **options), frame=2)


def declare_family(prefix: str, title: str, unit: str = "", **options: Any) -> None:
    """Declare all metrics whose names begin with `prefix`."""
    FAMILIES[prefix] = Metric(name=prefix, title=title, unit=unit, **options)


def declare_all(metrics: Iterable[Metric], *, by: str) -> None:
    """Declare the metrics of a shipped extractor."""
    for metric in metrics:
        METRICS.add(metric.name, metric, origin=EXTRACTORS.entry(by).origin)


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


# Tokens, errors and distances of reconstructions.
declare("mean_tokens", "mean tokens", "tokens per image", listed=True, main=0)
declare("min_tokens", "fewest tokens", "tokens", higher_is_better=None, listed=True)
declare("max_tokens", "most tokens", "tokens", higher_is_better=None, listed=True)
declare(
    "psnr",
    "PSNR",
    "dB",
    higher_is_better=True,
    listed=True,
    main=2,
    quality=0,
    measure="bench.metrics.pixel:image_psnr",
)
declare(
    "ssim",
    "SSIM",
    higher_is_better=True,
    listed=True,
    compared=4,
    quality=1,
    measure="bench.metrics.ssim:image_ssim",
)
declare(
    "mse",
    "distortion (MSE)",
    listed=True,
    main=1,
    compared=0,
    quality=2,
    measure="bench.metrics.pixel:mse",
)
for _name in OWN:
    declare_all(EXTRACTORS[_name].of_reconstructions(), by=_name)

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
declare(
    "tail_entropy_ratio",
    "entropy of the last tokens",
    "share of the first ones'",
    higher_is_better=None,
    listed=True,
)
declare("prefix_cosine", "cosine of the prefix to all tokens", higher_is_better=None)
declare(
    "mean_prefix_cosine",
    "mean cosine of prefixes to all tokens",
    higher_is_better=None,
    listed=True,
)
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
for _name in ("inception", *(name for name in OWN if name != "inception")):
    declare_all(EXTRACTORS[_name].of_samples(), by=_name)
declare("chd", "CHD", listed=True)
declare("chd_reconstructions", "CHD of reconstructions", listed=True)
declare("chd_position", "CHD by position", listed=True)
declare("chd_position_reconstructions", "CHD by position of reconstructions", listed=True)
declare("nats_per_token", "held-out cross-entropy", "nats per token", listed=True, main=8)
declare("nats_per_image", "held-out cross-entropy", "nats per image")
declare("length_nats_per_image", "held-out cross-entropy of lengths", "nats per image")
declare("unended_share", "sequences without an end", "share", listed=True)
declare("length_total_variation", "total variation of lengths", "share", listed=True)
declare("length_wasserstein_1", "Wasserstein-1 of lengths", "tokens", listed=True)

# A throughput names what it measured.
_rate = functools.partial(
    declare_family, title="throughput", unit="images per second", higher_is_better=True
)
_rate("images_per_second/fixed/", listed=True)
_rate("images_per_second/")
declare_family("ratio/", "speed against fixed lengths", higher_is_better=True, listed=True)
declare_family("of_ideal/", "speed against the ideal", "share", higher_is_better=True)


class Names(Sequence[str]):
    """Names of metrics, found when first asked for: plug-ins are not loaded before."""

    def __init__(self, find: Callable[[], tuple[str, ...]]):
        self._find = functools.cache(find)

    @overload
    def __getitem__(self, at: int) -> str: ...

    @overload
    def __getitem__(self, at: slice) -> tuple[str, ...]: ...

    def __getitem__(self, at: int | slice) -> str | tuple[str, ...]:
        """A name by its place, or several."""
        return self._find()[at]

    def __len__(self) -> int:
        """How many there are."""
        return len(self._find())


def _listed() -> tuple[str, ...]:
    return tuple(name for name, metric in METRICS.items() if metric.listed)


def _ranked(rank: str) -> tuple[str, ...]:
    places = {name: getattr(metric, rank) for name, metric in METRICS.items()}
    return tuple(sorted((n for n, at in places.items() if at is not None), key=places.__getitem__))


LISTED = Names(_listed)
MAIN = Names(functools.partial(_ranked, "main"))
COMPARED = Names(functools.partial(_ranked, "compared"))
QUALITIES = Names(functools.partial(_ranked, "quality"))
