"""The trainings of a cell's tokenizer, told apart by the descriptions of its stages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Described = dict[str, Any]


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
        training = one["config"]["training"]
        seen = one["result"]["images_seen"]
        row = {
            "name": names[one["key"]],
            "steps": training["steps"],
            "images_seen": seen,
            "decoder_passes": seen,
        }
        if "lengths" in one["inputs"]:
            chosen = by_key[one["inputs"]["lengths"][1]]["result"]
            shares = chosen["images_by_tokens"].items()
            row["mean_tokens"] = chosen["mean_tokens"]
            row["shares"] = {tokens: images / chosen["count"] for tokens, images in shares}
        trainings.append(row)
    totals = ("steps", "images_seen", "decoder_passes")
    return {"trainings": trainings, **{name: sum(t[name] for t in trainings) for name in totals}}


def _tokenizers(stages: Sequence[Described]) -> list[Described]:
    """The trainings of a cell's tokenizer: each needs the one before."""
    return [one for one in stages if one["stage"] == "tokenizer"]
