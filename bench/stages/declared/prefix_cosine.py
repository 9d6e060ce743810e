"""The stage of prefix cosines: how alike a prefix and all tokens look inside the decoder."""

from __future__ import annotations

from typing import Any

from bench.config.evaluation import EvaluationConfig
from bench.stages import Stage


def images_problem(config: dict[str, Any], count: int) -> str | None:
    """More images than there are to validate on."""
    return EvaluationConfig(prefix_cosine_images=config["images"]).problem(count)


STAGE = Stage(
    name="prefix_cosine",
    version=1,
    device=True,
    run="bench.stages.diagnostics.prefix_cosine:run",
    images_problem=images_problem,
)
