"""Cost of training a tokenizer, all its trainings together: what two sides must have in common."""

from __future__ import annotations

import math
from dataclasses import astuple, dataclass
from typing import Any

from bench.records.record import Record

CODESIGN = "codesign.training"
NEAR = 0.01  # Lengths that are drawn at random come to a number of passes within this.


@dataclass(frozen=True)
class Cost:
    """Sums over all trainings: optimizer steps, images seen, and images decoded at some length."""

    steps: int
    images: int
    decoder_passes: int


@dataclass(frozen=True)
class CostRatio:
    """Our cost as a multiple of theirs, of each kind."""

    steps: float
    images: float
    decoder_passes: float

    @property
    def equal_steps(self) -> bool:
        """Whether both took as many optimizer steps."""
        return self.steps == 1

    @property
    def equal_passes(self) -> bool:
        """Whether both decoded as many images, within 1 %."""
        return abs(self.decoder_passes - 1) <= NEAR

    @property
    def words(self) -> str:
        """`equal steps and decoder passes`, `equal steps, 2 x decoder passes`, or the like."""
        kinds = {
            "steps": (self.equal_steps, self.steps),
            "images": (self.images == 1, self.images),
            "decoder passes": (self.equal_passes, self.decoder_passes),
        }
        same = [name for name, (equal, _) in kinds.items() if equal and name != "images"]
        # More images are told where no other number says it already.
        other = [
            f"{value:.3g} x {name}"
            for name, (equal, value) in kinds.items()
            if not equal and (name != "images" or value not in (self.steps, self.decoder_passes))
        ]
        first = f"equal {' and '.join(same)}" if same else "not at equal steps"
        return ", ".join([first, *other])

    @property
    def distance(self) -> tuple[float, float]:
        """The distance of steps from equal ones, then of decoder passes, in octaves."""
        return abs(math.log2(self.steps)), abs(math.log2(self.decoder_passes))


def trainings_of(record: Record) -> list[Any]:
    """Settings of the trainings of the record's tokenizer, each with a schedule of its own."""
    rounds = {CODESIGN: int(record.setting("codesign.rounds") or 1)}
    return [one for key, one in record.config.trainings.items() for _ in range(rounds.get(key, 1))]


def cost_of(record: Record) -> Cost:
    """The cost of the record's tokenizer, which is trained here.

    Rounds of co-design, or of a continuation, and a fine-tuning count with the first training.
    Decoder passes are those that the record tells of each training; one that tells none decoded
    each image once a step.
    """
    trainings = trainings_of(record)
    images = [one.steps * one.batch for one in trainings]
    told = [stage.decoder_passes for stage in record.stages if stage.stage == "tokenizer"]
    if len(told) < len(images):
        told = [None] * len(images)
    pairs = zip(told[-len(images) :], images, strict=True)
    passes = sum(each if one is None else one for one, each in pairs)
    return Cost(sum(one.steps for one in trainings), sum(images), passes)


def cost_ratio(ours: Cost, theirs: Cost) -> CostRatio:
    """Our cost over theirs."""
    pairs = zip(astuple(ours), astuple(theirs), strict=True)
    return CostRatio(*(one / other for one, other in pairs))
