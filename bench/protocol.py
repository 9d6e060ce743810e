"""The evaluation protocol: everything that fixes what a metric's value means."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from bench.errors import UserError
from bench.provenance import package_versions
from bench.store import content_key


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """Values are comparable when, and only when, their protocols are equal.

    `extractors` maps each metric network to its weights' hash, layer and input size; `estimators`
    says how intervals, extrapolations and scores are taken from features.
    """

    images_digest: str
    images_count: int
    resolution: int
    crop: str = "shorter side to the resolution, centre crop"
    resize_filter: str = "bicubic, antialiased"
    uint8_rule: str = "clamp to [0, 1], times 255, round half to even"
    reference: str = "paired originals"
    feature_dtype: str = "float32 features, float64 statistics"
    weights: str = "EMA"
    estimators: dict[str, Any]
    extractors: dict[str, dict[str, Any]]
    versions: dict[str, str]

    @staticmethod
    def of_bank(about: dict[str, Any], *, estimators: dict[str, Any] | None = None) -> Protocol:
        """The protocol under which a bank's values are made, and judged by these `estimators`."""
        versions = package_versions()
        return Protocol(
            images_digest=about["images"]["digest"],
            images_count=about["images"]["count"],
            resolution=about["resolution"],
            estimators=estimators or {},
            extractors=about["extractors"],
            versions={name: versions[name] for name in ("torch", "numpy", "pillow")},
        )

    @property
    def hash(self) -> str:
        """Identity of the protocol, stored with every record."""
        return content_key(asdict(self))


def require_one_protocol(protocols: list[dict[str, Any]]) -> None:
    """Refuse to show values side by side that do not mean the same.

    Raises:
        UserError: names the first field that differs, and both values.
    """
    for other in protocols[1:]:
        for name in protocols[0] | other:
            value = protocols[0].get(name)
            if other.get(name) != value:
                raise UserError(
                    f"not comparable: protocol field '{name}' differs ({value} and "
                    f"{other.get(name)}); put cells of one protocol into one table"
                )
