"""The part of a record on a tokenizer that was trained in several rounds.

It is made of the descriptions of the cell's stages, which the store holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from adatok_core.config import LengthSampling
from bench.config.settings import parse
from bench.records.parts import Part

Described = dict[str, Any]


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


def training_names(stages: Sequence[Described]) -> dict[str, str]:
    """Names of a cell's trainings by their key; `stages` are all of its, in order.

    A round of co-design is `codesign_1` and so on, and `codesign_1_policy` the policy that chose
    its lengths. All others bear the name of their stage, but for a `finetuning`.
    """
    by_key = {one["key"]: one for one in stages}
    names = {one["key"]: one["stage"] for one in stages}
    for number, one in enumerate(_tokenizers(stages)):
        if "trainable" in one["config"]:
            names[one["key"]] = "finetuning"
        elif number:
            names[one["key"]] = f"codesign_{number}"
        if "lengths" in one["inputs"]:
            lengths = by_key[one["inputs"]["lengths"][1]]
            names[lengths["inputs"]["policy"][1]] = f"codesign_{number}_policy"
    return names


def codesigned(stages: Sequence[Described]) -> dict[str, Any]:
    """What the record of a cell with co-design says of its tokenizer's trainings."""
    names, by_key = training_names(stages), {one["key"]: one for one in stages}
    trainings = []
    for one in _tokenizers(stages):
        row = {
            "name": names[one["key"]],
            "steps": one["config"]["training"]["steps"],
            "images_seen": one["result"]["images_seen"],
            "decoder_passes": _decoder_passes(one),
        }
        if "lengths" in one["inputs"]:
            chosen = by_key[one["inputs"]["lengths"][1]]["result"]
            shares = chosen["images_by_tokens"].items()
            row["mean_tokens"] = chosen["mean_tokens"]
            row["shares"] = {tokens: images / chosen["count"] for tokens, images in shares}
        trainings.append(row)
    totals = ("steps", "images_seen", "decoder_passes")
    return {"trainings": trainings, **{name: sum(t[name] for t in trainings) for name in totals}}


def _decoder_passes(training: Described) -> int:
    """Images that a training decoded; what it left may be of before this was noted."""
    noted: int | None = training["result"].get("decoder_passes")
    if noted is not None:
        return noted
    lengths = parse(LengthSampling, training["config"]["training"]["lengths"], where="lengths")
    halting = training["config"]["tokenizer"]["encoding"] == "halting"  # decodes an image twice
    passes: int = training["result"]["images_seen"] * lengths.decodings * (1 + halting)
    return passes


def _tokenizers(stages: Sequence[Described]) -> list[Described]:
    """The trainings of a cell's tokenizer: each needs the one before."""
    return [one for one in stages if one["stage"] == "tokenizer"]
