"""Settings of the evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from adatok_core.config.checks import Strict

SCORE_SMALLEST = 10


@dataclass(frozen=True, kw_only=True)
class PerturbedConfig(Strict):
    """How tokens are perturbed whose decodings are then judged: see `bench.judging.perturbation`.

    Each token of the first `images` validation images (all, when null) is replaced with a chance of
    each of the `alphas`, by one of as many nearest codes as each of the `neighbours` says, the code
    itself among them, or by any code where that is null. `seed` draws which, and by what.
    """

    alphas: tuple[float, ...]
    neighbours: tuple[int, ...] | None
    images: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.alphas or sorted({*self.alphas}) != sorted(self.alphas):
            raise ValueError("alphas: give one or more, each once")
        if not 0 <= min(self.alphas) <= max(self.alphas) <= 1:
            raise ValueError(f"alphas: {list(self.alphas)} must lie within 0..1")
        near = self.neighbours
        if near is not None and (not near or len({*near}) < len(near) or min(near) < 1):
            raise ValueError("neighbours: give one or more, each once, of 1 or more, or null")
        if self.images is not None and self.images < 2:
            raise ValueError("images: must be 2 or more, or null")
        if not 0 <= self.seed < 2**31:
            raise ValueError("seed: must lie in 0..2^31 - 1")


@dataclass(frozen=True, kw_only=True)
class EvaluationConfig(Strict):
    """How an allocation is judged.

    `seed` draws which image gets which budget where the image is ignored. `heuristics` adds scores
    of the image and threshold searches to the controls, fitted on training images to the
    allocation's own mean budget. `kid_subset` is the number of images in each block of the kernel
    distance's interval (a tenth of them, when null); `generative` asks for the inception score,
    precision and recall too.

    Two more are of a tokenizer's curve alone, and unheeded in other cells: `perturbed` decodes
    perturbed tokens too, and `prefix_cosine_images` says on how many validation images prefixes are
    compared with all tokens inside the decoder (none, when null).
    """

    seed: int = 0
    heuristics: bool = False
    kid_subset: int | None = None
    generative: bool = False
    perturbed: PerturbedConfig | None = None
    prefix_cosine_images: int | None = None

    def __post_init__(self) -> None:
        if self.prefix_cosine_images is not None and self.prefix_cosine_images < 1:
            raise ValueError("prefix_cosine_images: must be 1 or more, or null")
        if self.kid_subset is not None and self.kid_subset < 2:
            raise ValueError("kid_subset: must be 2 or more, or null")

    @classmethod
    def of_stage(cls, settings: Mapping[str, Any]) -> EvaluationConfig:
        """The measurements that the settings of a stage which judges images ask for."""
        return cls(kid_subset=settings["kid_subset"], generative=settings["generative"])

    def problem_of_samples(self, samples: int, images: int) -> str | None:
        """Measurement that so many samples, or validation images, are too few for, if any."""
        problem = self.problem(min(samples, images))
        return problem and problem.replace("validation images", "validation images, or samples,")

    def problem(self, images: int) -> str | None:
        """Measurement that so many validation images are too few for, if any."""
        if images < 2 * (self.kid_subset or 2):
            remedy = "give more images" if self.kid_subset is None else "lower it"
            blocks = self.kid_subset or 2
            return (
                f"evaluation.kid_subset: {images} validation images do not fill two blocks of "
                f"{blocks}; {remedy}"
            )
        if self.generative and images < SCORE_SMALLEST:
            return (
                f"evaluation.generative: an inception score needs {SCORE_SMALLEST} validation "
                f"images or more, not {images}"
            )
        asked = {
            "perturbed.images": None if self.perturbed is None else self.perturbed.images,
            "prefix_cosine_images": self.prefix_cosine_images,
        }
        for key, count in asked.items():
            if count is not None and count > images:
                return (
                    f"evaluation.{key}: {count} exceeds the {images} validation images; ask for "
                    "fewer"
                )
        return None
