"""Settings of the evaluation."""

from __future__ import annotations

from dataclasses import dataclass

from adatok_core.config.checks import Strict

SCORE_SMALLEST = 10


@dataclass(frozen=True, kw_only=True)
class EvaluationConfig(Strict):
    """How an allocation is judged.

    `seed` draws which image gets which budget where the image is ignored. `heuristics` adds scores
    of the image and threshold searches to the controls, fitted on training images to the
    allocation's own mean budget. `kid_subset` is the number of images in each block of the kernel
    distance's interval (a tenth of them, when null); `generative` asks for the inception score,
    precision and recall too.
    """

    seed: int = 0
    heuristics: bool = False
    kid_subset: int | None = None
    generative: bool = False

    def __post_init__(self) -> None:
        if self.kid_subset is not None and self.kid_subset < 2:
            raise ValueError("kid_subset: must be 2 or more, or null")

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
        return None
