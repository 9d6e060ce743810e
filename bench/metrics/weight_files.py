"""Weight files that metric networks need and that do not ship: origin, hash, and finding them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from bench.errors import UserError, suggestion
from bench.files import file_sha256

# Inception's file had settings of its own before there were others.
_SETTINGS = {"inception": ("bank.inception_weights", "bank.inception_sha256")}


@dataclass(frozen=True, kw_only=True)
class Weights:
    """A weight file that an extractor needs, given by a suite under `bank.weights`.

    Args:
        name: its key there.
        file: what it is called where it is published.
        sha256: how its SHA-256 (hex) begins; empty where any file will do.
        source: where to get it.
    """

    name: str
    file: str
    source: str
    sha256: str = ""

    @property
    def setting(self) -> str:
        """The setting that gives its path."""
        return _SETTINGS.get(self.name, (f"bank.weights.{self.name}", ""))[0]

    @property
    def hash_setting(self) -> str:
        """The setting that gives another hash than the published file's."""
        return _SETTINGS.get(self.name, ("", f"bank.weights_sha256.{self.name}"))[1]

    @property
    def published(self) -> str:
        """The file, its hash and where it comes from, for people."""
        known = f" (SHA-256 {self.sha256[:8]}...)" if self.sha256 else ""
        return f"{self.file}{known} from {self.source}"


@dataclass(frozen=True)
class WeightFile:
    """The path of a weight file, and how the file's SHA-256 (hex) must begin."""

    path: str
    sha256: str


def require_weights(weights: Mapping[str, WeightFile], declared: Weights) -> WeightFile:
    """The file that is given for what is declared.

    Raises:
        UserError: there is none; says which it is, and where it comes from.
    """
    if declared.name not in weights:
        raise UserError(f"{declared.setting}: missing; give the path of {declared.published}")
    return weights[declared.name]


def checked_sha256(
    declared: Weights, given: WeightFile, *, sha256_of: Callable[[str], str] = file_sha256
) -> str:
    """SHA-256 of the file given.

    Raises:
        UserError: it cannot be read, or its SHA-256 does not begin as it must: its values would
            not be those of the metric's name.
    """
    try:
        sha256 = sha256_of(given.path)
    except OSError as error:
        raise UserError(
            f"{declared.setting}: cannot read {given.path}: {error.strerror}; give the path of "
            f"{declared.published}"
        ) from None
    if not sha256.startswith(given.sha256):
        raise UserError(
            f"{declared.setting}: the SHA-256 of {given.path} begins with {sha256[:8]}, not "
            f"{given.sha256[:8]}; give {declared.published}, or set {declared.hash_setting}"
        )
    return sha256


def find_weights(
    needed: Iterable[Weights],
    paths: Mapping[str, str],
    hashes: Mapping[str, str],
    *,
    sha256_of: Callable[[str], str] = file_sha256,
) -> dict[str, WeightFile]:
    """The files at `paths` for all that is needed, by name, with the SHA-256 of their content.

    `hashes` say how those begin that are not the published ones.

    Raises:
        UserError: one is missing, cannot be read or has another hash; a name is not needed; or two
            extractors mean different files by one name.
    """
    declared: dict[str, Weights] = {}
    for one in needed:
        if declared.setdefault(one.name, one) != one:
            raise UserError(
                f"bank.weights.{one.name}: extractors of this bank need both {one.file} and "
                f"{declared[one.name].file} under this name; take one of them away"
            )
    for key, names in (("weights", paths), ("weights_sha256", hashes)):
        for name in names:
            if name not in declared:
                near = suggestion(name, list(declared)) or "; remove it, or name its extractor"
                raise UserError(
                    f"bank.{key}: no extractor of bank.extractors needs a weight file '{name}'"
                    f"{near}"
                )
    found = {}
    for name, one in declared.items():
        prefix = hashes.get(name, one.sha256)
        given = {key: WeightFile(path, prefix) for key, path in paths.items()}
        file = require_weights(given, one)
        found[name] = WeightFile(file.path, checked_sha256(one, file, sha256_of=sha256_of))
    return found


def weights_to_runtime(weights: Mapping[str, WeightFile]) -> dict[str, Any]:
    """Weight files for the `runtime` of a stage: their hashes make its key, their paths do not."""
    return {"weights": {name: asdict(file) for name, file in weights.items()}}


def weights_of_runtime(runtime: Mapping[str, Any]) -> dict[str, WeightFile]:
    """The weight files by name that a stage's `runtime` holds."""
    return {name: WeightFile(**given) for name, given in runtime.get("weights", {}).items()}
