"""The metric networks, each declared once: what gives features, and what its metrics are called.

Nothing here imports a network; `bench.metrics.extraction` runs them.
"""

from __future__ import annotations

from collections.abc import Iterable

from adatok_core.registry import Registry, RegistryError
from bench.errors import UserError
from bench.metrics.extractor import Extractor as Extractor
from bench.metrics.feature_metrics import (
    FeatureMetrics,
    reconstruction_metrics,
    sample_metrics,
)
from bench.metrics.metric import Metric
from bench.metrics.networks.files import DINOV2, DINOV2_SMALL, INCEPTION, LPIPS, VGG16

EXTRACTORS: Registry[Extractor] = Registry(
    "extractor", group="adatok_bench.extractors", expects=Extractor
)
EXTRACTORS.add(
    "lite0",
    Extractor(
        name="lite0",
        network="bench.metrics.networks.lite:lite0",
        logits="bench.metrics.networks.lite:lite0_logits",
        packages=("efficientnet-lite-pytorch",),
        perceptual=Metric(
            name="perceptual", title="perceptual distance", listed=True, compared=1, quality=3
        ),
        reconstructions=reconstruction_metrics(
            "lite0",
            "Lite0",
            frechet=Metric(
                name="fd_lite0",
                title="FD",
                listed=True,
                main=4,
                compared=3,
                quality=5,
                stands_in_for="rfid",
            ),
            kernel=Metric(name="kid_lite0", title="KID", listed=True),
        ),
        samples=sample_metrics(
            "lite0",
            "Lite0",
            frechet=Metric(
                name="gfd_lite0", title="gFD", listed=True, main=7, compared=7, stands_in_for="gfid"
            ),
            kernel=Metric(name="gkd_lite0", title="gKD", listed=True, compared=8),
        ),
    ),
    about="EfficientNet-Lite0, whose feature maps give the perceptual distance",
)
EXTRACTORS.add(
    "lite1",
    Extractor(
        name="lite1",
        network="bench.metrics.networks.lite:lite1",
        logits="bench.metrics.networks.lite:lite1_logits",
        packages=("efficientnet-lite-pytorch",),
        reconstructions=reconstruction_metrics(
            "lite1", "Lite1", frechet=Metric(name="fd_lite1", title="FD", listed=True, quality=6)
        ),
        samples=sample_metrics("lite1", "Lite1", frechet=Metric(name="gfd_lite1", title="gFD")),
    ),
    about="EfficientNet-Lite1, a second opinion on distances",
)
EXTRACTORS.add(
    "inception",
    Extractor(
        name="inception",
        network="bench.metrics.networks.inception:inception",
        logits="bench.metrics.networks.inception:inception_logits",
        packages=("torch-fidelity",),
        weights=(INCEPTION,),
        reconstructions=FeatureMetrics(
            frechet=Metric(name="rfid", title="rFID", listed=True, main=3, compared=2, quality=4),
            kernel=Metric(name="kid", title="KID", listed=True),
            score="isc",
            precision="precision",
            recall="recall",
        ),
        samples=FeatureMetrics(
            frechet=Metric(name="gfid", title="gFID", listed=True, main=6, compared=6),
            kernel=Metric(name="gkid", title="gKID"),
            score="gisc",
            precision="gprecision",
            recall="grecall",
            samples=True,
        ),
    ),
    about="torch-fidelity's Inception, the network of FID, from a weight file",
)
EXTRACTORS.add(
    "lpips",
    Extractor(
        name="lpips",
        network="bench.metrics.networks.lpips:lpips",
        packages=("torch-fidelity",),
        weights=(VGG16, LPIPS),
        perceptual=Metric(name="lpips", title="LPIPS (VGG16)", listed=True, compared=9, quality=7),
    ),
    about="LPIPS on VGG16, as torch-fidelity measures it",
)
EXTRACTORS.add(
    "stlpips",
    Extractor(
        name="stlpips",
        network="bench.metrics.networks.stlpips:stlpips",
        packages=("stlpips-pytorch",),
        install="pip install adatok-bench[stlpips]",
        perceptual=Metric(
            name="stlpips", title="ST-LPIPS (AlexNet)", listed=True, compared=10, quality=8
        ),
    ),
    about="Shift-tolerant LPIPS on AlexNet, whose weights ship in a package",
)
EXTRACTORS.add(
    "dinov2",
    Extractor(
        name="dinov2",
        network="bench.metrics.networks.dinov2:large",
        packages=("torch-fidelity",),
        weights=(DINOV2,),
        reconstructions=reconstruction_metrics(
            "dinov2",
            "DINOv2 ViT-L/14",
            frechet=Metric(name="fd_dinov2", title="FD", listed=True, compared=11, quality=9),
        ),
        samples=sample_metrics("dinov2", "DINOv2 ViT-L/14"),
    ),
    about="DINOv2 ViT-L/14 with torch-fidelity's input, the network of FD-DINOv2",
)
EXTRACTORS.add(
    "dinov2_small",
    Extractor(
        name="dinov2_small",
        network="bench.metrics.networks.dinov2:small",
        packages=("torch-fidelity",),
        weights=(DINOV2_SMALL,),
        reconstructions=reconstruction_metrics(
            "dinov2_small",
            "DINOv2 ViT-S/14",
            frechet=Metric(
                name="fd_dinov2_small", title="FD", listed=True, compared=12, quality=10
            ),
        ),
        samples=sample_metrics("dinov2_small", "DINOv2 ViT-S/14"),
    ),
    about="DINOv2 ViT-S/14 with torch-fidelity's input, a fourteenth of ViT-L's size",
)
OWN = ("lite0", "lite1", "inception", "lpips", "stlpips", "dinov2", "dinov2_small")
# How a bank is asked for those that are not named in `bank.extractors`.
SHIPPED = {
    "lite0": "every evaluation has it",
    "lite1": "set bank.second_extractor",
    "inception": "set bank.inception_weights",
}


def used_extractors(*, second: bool, inception: bool, named: Iterable[str]) -> list[Extractor]:
    """Lite0 always, Lite1 as a second one, Inception where there are weights, and those named."""
    asked = {"lite0": True, "lite1": second, "inception": inception}
    return [
        EXTRACTORS[name] for name in (*(n for n, is_asked in asked.items() if is_asked), *named)
    ]


def require_extractors(names: Iterable[str]) -> None:
    """Refuse names in `bank.extractors` that are no extractors, or are asked for in another way.

    Raises:
        UserError: the first such name, or a package that is not installed, with what to do.
    """
    for name in names:
        if name in SHIPPED:
            raise UserError(f"bank.extractors: '{name}': {SHIPPED[name]}; remove it here")
        try:
            extractor = EXTRACTORS[name]
        except RegistryError as error:
            raise UserError(f"bank.extractors: {error}") from None
        if extractor.name != name:
            raise UserError(
                f"bank.extractors: '{name}' ({EXTRACTORS.entry(name).origin}) calls itself "
                f"'{extractor.name}'; register it under that name"
            )
        extractor.require_packages()
