"""The part of a record on a tokenizer that was trained in several rounds."""

from __future__ import annotations

from bench.records.parts import Part


class TokenizerTraining(Part):
    """One training of the tokenizer, and what it took.

    `name` is that of its history: `tokenizer`, `codesign_1` and so on, `finetuning`. Where a policy
    chose the lengths, `mean_tokens` and `shares` (by number of tokens) are of its choice for all
    training images.
    """

    name: str
    steps: int
    images_seen: int
    decoder_passes: int
    mean_tokens: float | None = None
    shares: dict[str, float] | None = None


class CoDesigned(Part):
    """The trainings of a cell's tokenizer in their order, and what all of them took together.

    `decoder_passes` count images that were decoded.
    """

    trainings: tuple[TokenizerTraining, ...]
    steps: int
    images_seen: int
    decoder_passes: int
