"""A quantizer of another package, in one module."""

from dataclasses import dataclass
from typing import Literal

from adatok_core.choices import Choice
from adatok_core.quantizers.base import (
    Quantized,
    Quantizer,
    join_digits,
    split_digits,
    straight_through,
)


@dataclass(frozen=True, kw_only=True)
class Signs:
    """The signs of `bits` numbers, nothing else."""

    kind: Literal["signs"] = "signs"
    bits: int = 4

    def __post_init__(self):
        if self.bits < 1:
            raise ValueError("bits: must be 1 or more")

    @property
    def codebook_size(self):
        return 2**self.bits


class SignQuantizer(Quantizer):
    calibrated_spread = 1.0

    def __init__(self, width, settings, *, tokens):
        super().__init__(width, settings.bits, (2,) * settings.bits, tokens=tokens)

    def quantize(self, points, generator):
        bits = (points >= 0).long()
        codes = straight_through(points.tanh(), bits * 2.0 - 1)
        return Quantized(codes, join_digits(bits, self.code_sizes), points.new_zeros(()))

    def decode(self, ids):
        return split_digits(ids, self.code_sizes) * 2.0 - 1


QUANTIZER = Choice(config=Signs, build=SignQuantizer)
