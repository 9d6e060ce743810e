"""Parts of a record that say how fast its tokenizer or its generator is."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pydantic

from bench.records.parts import Part, Spread


class TokenizerSpeed(Part):
    """Images per second of the tokenizer: encoding, and decoding by budget."""

    device: str
    threads: int
    batch: int
    repeats: int
    encode_images_per_second: Spread
    decode_images_per_second: dict[str, Spread]


class SpeedRow(Part):
    """How fast an arm decodes in one mode; `ratio` is to the fixed arm, `of_ideal` to the ideal."""

    batch: int
    guidance: bool
    guidance_scale: float
    arm: Literal["fixed", "adaptive"]
    mode: str
    pixels: bool
    images: int
    images_per_second: Spread
    tokens_per_second: Spread
    ratio: float
    ratio_quartiles: tuple[float, float]
    of_ideal: float | None
    occupancy: float | None
    first_image_seconds: float | None
    peak_memory_bytes: int | None


class StepCost(Part):
    """Seconds of one decoding step at a position."""

    batch: int
    guidance: bool
    guidance_scale: float
    position: int
    seconds: float


class MeasuredLengths(Part):
    """The lengths that a throughput was measured with; `token_ratio` is fixed over mean."""

    kind: str
    fixed: int
    mean: float
    shares: dict[str, float]
    token_ratio: float


class GenerationSpeed(Part):
    """Speed of generation: a row per arm, mode and setting, and the cost of a step by position."""

    weights: Literal["trained", "random"]
    device: str
    threads: int
    load_average: tuple[float, float]
    precision: str
    parameters: int
    vocabulary_size: int
    repeats: int
    rows: tuple[SpeedRow, ...]
    cost_by_position: tuple[StepCost, ...]
    lengths: MeasuredLengths


def _speed_of(value: Any) -> str:
    """Which of the two speeds it is: a generator's has rows."""
    generator = "rows" in value if isinstance(value, dict) else hasattr(value, "rows")
    return "generator" if generator else "tokenizer"


Speed = Annotated[
    Annotated[TokenizerSpeed, pydantic.Tag("tokenizer")]
    | Annotated[GenerationSpeed, pydantic.Tag("generator")],
    pydantic.Discriminator(_speed_of),
]
