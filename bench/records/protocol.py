"""The evaluation protocol: all that fixes the meaning of a metric's value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from bench.errors import UserError
from bench.files import content_key
from bench.metrics.declared import METRICS
from bench.metrics.extractors import EXTRACTORS
from bench.records.parts import RecordedProtocol
from bench.store.provenance import package_versions

ABSENT = "absent"
PACKAGES = ("torch", "numpy", "scipy", "pillow")


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """Values are comparable when, and only when, their protocols are equal.

    `extractors` maps each metric network to its weights' hash, layer and input size; `estimators`
    says how intervals, extrapolations and scores are taken from features; `versions` are those of
    the packages that the pixels, features and statistics come from. Fields that matter to some
    metrics only are part of the one identity all the same. `selection` says what was taken of the
    images (`bench.data.selection`); it leaves no trace where all were.
    """

    images_digest: str
    images_count: int
    resolution: int
    crop: str = "shorter side to the resolution, centre crop"
    resize_filter: str = "bicubic, antialiased"
    uint8_rule: str = "clamp to [0, 1], times 255, round half to even"
    reference: str = "paired originals"
    feature_dtype: str = "float32 features, float64 statistics"
    error_dtype: str = "float32 per image, float64 means"
    perceptual: str = "Lite0 maps of blocks 0, 2, 4, 10 at unit length, squared differences"
    weights: str = "EMA"
    estimators: dict[str, Any]
    extractors: dict[str, dict[str, Any]]
    versions: dict[str, str]
    selection: dict[str, Any] | None = None

    @staticmethod
    def of_bank(about: dict[str, Any], *, estimators: dict[str, Any] | None = None) -> Protocol:
        """The protocol under which a bank's values are made, and judged by these `estimators`.

        Raises:
            UserError: a package that an extractor or a metric declares is not installed.
        """
        return Protocol(
            images_digest=about["images"]["digest"],
            images_count=about["images"]["count"],
            resolution=about["resolution"],
            estimators=estimators or {},
            extractors=about["extractors"],
            versions=_versions(about),
            selection=about["images"].get("selection"),
        )

    def plain(self) -> dict[str, Any]:
        """Plain values, as records have them."""
        values = asdict(self)
        if self.selection is None:
            del values["selection"]
        return values

    @property
    def hash(self) -> str:
        """Identity of the protocol, stored with every record."""
        return content_key(self.plain())


@dataclass(frozen=True, kw_only=True)
class SampleProtocol(Protocol):
    """The protocol of generated images, never equal to one of reconstructions.

    `images_digest` and `images_count` are those of the bank that the reference comes from;
    `sampling` holds how many images were drawn, of which classes, and how.
    """

    reference: str = "unpaired originals of the validation images"
    sampling: dict[str, Any]

    @staticmethod
    def of_samples(
        about: dict[str, Any], *, estimators: dict[str, Any], sampling: dict[str, Any]
    ) -> SampleProtocol:
        """The protocol of images sampled by `sampling` and compared with a bank's originals."""
        paired = Protocol.of_bank(about, estimators=estimators)
        settings = {
            f.name: getattr(paired, f.name) for f in fields(paired) if f.name != "reference"
        }
        return SampleProtocol(**settings, sampling=sampling)


def _versions(about: dict[str, Any]) -> dict[str, str]:
    declared = [
        *(EXTRACTORS[name].packages for name in about["extractors"] if name in EXTRACTORS),
        *(METRICS[name].packages for name in about.get("metrics", ())),
    ]
    used = [*PACKAGES, *(package for packages in declared for package in packages)]
    versions = package_versions(used)
    for name in used:
        if name not in versions:
            raise UserError(
                f"package '{name}' is not installed, and its version belongs to the protocol; "
                "install it, or correct the `packages` of the extractor or metric"
            )
    return versions


def require_one_protocol(protocols: Sequence[RecordedProtocol]) -> None:
    """Refuse to show values side by side that do not mean the same.

    Raises:
        UserError: names the first field that differs by its dotted path, and both values.
    """
    for other in protocols[1:]:
        found = _difference(protocols[0].plain(), other.plain())
        if found is not None:
            name, ours, theirs = found
            raise UserError(
                f"not comparable: protocol field '{name}' differs ({ours} and {theirs}); "
                "put cells of one protocol into one table"
            )


def _difference(ours: Any, theirs: Any, path: str = "") -> tuple[str, Any, Any] | None:
    """Path and the two values of the first leaf that differs."""
    if ours == theirs:
        return None
    if not (isinstance(ours, dict) and isinstance(theirs, dict)):
        return path, ours, theirs
    for name in ours | theirs:
        inner = f"{path}.{name}" if path else name
        found = _difference(ours.get(name, ABSENT), theirs.get(name, ABSENT), inner)
        if found is not None:
            return found
    return None
