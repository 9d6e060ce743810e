"""Token ids, lengths and classes of a bank's images: what a generator learns from."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from adatok_core.generator.sequences import Vocabulary
from bench.allocators.learned import LearnedPolicy
from bench.allocators.view import seen_of
from bench.artifacts.bank import Bank
from bench.artifacts.networks import load_policy, load_tokenizer
from bench.config.cell_checks import MOST_CODES
from bench.config.length_distributions import whole_counts
from bench.errors import UserError

Classes = Literal["label", "objects"]
_COLUMNS = {"label": "label", "objects": "complexity"}


@dataclass(frozen=True, eq=False)
class TokenSet:
    """Ids `[n, N]`, the first `lengths [n]` of which an image has, and its class `labels [n]`.

    `names` are those of the classes that occur.
    """

    ids: np.ndarray
    lengths: np.ndarray
    labels: np.ndarray
    names: dict[int, str]

    def rows(self, rows: np.ndarray) -> TokenSet:
        """These images alone, in this order."""
        return replace(
            self, ids=self.ids[rows], lengths=self.lengths[rows], labels=self.labels[rows]
        )


@dataclass(frozen=True)
class Lengths:
    """Where lengths come from: a `budget`, or a `policy` of the tokenizer's (artifacts)."""

    budget: int | None
    tokenizer: Path
    policy: Path | None = None

    @staticmethod
    def asked(budget: int | Literal["all"] | None, tokenizer: Path, policy: Path | None) -> Lengths:
        """Those of the setting `generation.budget`; `all` are the tokens that the tokenizer has."""
        if budget == "all":
            return Lengths(load_tokenizer(tokenizer).max_tokens, tokenizer)
        return Lengths(budget, tokenizer, policy)

    @property
    def budgets(self) -> tuple[int, ...]:
        """All lengths that there may be."""
        if self.budget is not None:
            return (self.budget,)
        return load_policy(self._policy)[1].candidates

    @property
    def _policy(self) -> Path:
        if self.policy is None:
            raise ValueError("lengths: neither a budget nor a policy")
        return self.policy

    def of(self, bank: Bank, *, images: Path | None = None) -> np.ndarray:
        """Lengths `[n]` of a bank's images; a policy may have to look at the `images`."""
        bank.require_tokenizer(self.tokenizer)
        if self.budget is not None:
            return np.full(bank.about["images"]["count"], self.budget)
        learned = LearnedPolicy.load(
            self._policy, tokenizer=self.tokenizer, patch_size=bank.about["patch_size"]
        )
        chosen = learned.allocate(seen_of(bank, images=images, parts=learned.sees)).chosen
        kept: np.ndarray = np.array(learned.candidates)[chosen]
        return kept


def read_token_set(
    bank: Bank, lengths: Lengths, *, classes: Classes, images: Path | None = None
) -> TokenSet:
    """The token set of a bank.

    Raises:
        UserError: the bank has no ids, or is of another tokenizer; images without a class.
    """
    if not (bank.path / "ids.npy").is_file():
        raise UserError(f"{bank.path}: holds no ids.npy to learn from; remove it to have it made")
    table = bank.image_table("label", "label_name", "complexity")
    labels = table[_COLUMNS[classes]].to_numpy()
    if not np.all(labels >= 0) or np.any(labels != np.floor(labels)):
        raise UserError(f"{bank.path}: images without a class; set generation.classes to label")
    labels = labels.astype(np.int64)
    named = [f"{n} objects" for n in labels] if classes == "objects" else table["label_name"]
    return TokenSet(
        np.asarray(bank.array("ids")),
        lengths.of(bank, images=images),
        labels,
        dict(zip(labels.tolist(), map(str, named), strict=True)),
    )


def read_token_sets(
    inputs: Mapping[str, Path], names: Sequence[str], lengths: Lengths, *, classes: Classes
) -> list[TokenSet]:
    """Those of a stage's banks of these names, whose images are the inputs `NAME_images`, if any.

    Raises as `read_token_set`.
    """
    return [
        read_token_set(
            Bank.read(inputs[name]), lengths, classes=classes, images=inputs.get(f"{name}_images")
        )
        for name in names
    ]


def vocabulary_of(
    lengths: Lengths, *, kind: Literal["fixed", "end_token", "length_token"], classes: int
) -> Vocabulary:
    """The vocabulary of sequences of the tokenizer's ids."""
    codes = math.prod(load_tokenizer(lengths.tokenizer).code_sizes)
    if codes > MOST_CODES:
        raise UserError(f"tokenizer: a generator predicts {MOST_CODES} codes at most, not {codes}")
    return Vocabulary(codes=codes, budgets=lengths.budgets, lengths=kind, classes=classes)


def classes_in_proportion(labels: np.ndarray, count: int) -> np.ndarray:
    """Classes `[count]` in the proportions of `labels`, as exactly as whole images can be."""
    values, counts = np.unique(labels, return_counts=True)
    return np.repeat(values, whole_counts(counts / len(labels), count))


def rows_of_classes(data: TokenSet, labels: Sequence[int] | None) -> np.ndarray:
    """Rows of the images that belong to these classes; all without any.

    Raises:
        UserError: there is none of a class.
    """
    if labels is None:
        return np.arange(len(data.labels))
    missing = sorted({*labels} - {*data.labels.tolist()})
    if missing:
        raise UserError(
            f"generation.labels: no validation image is of class {missing[0]}; name others"
        )
    return np.flatnonzero(np.isin(data.labels, labels))


def rows_like(labels: np.ndarray, learned: TokenSet, *, conditional: bool, seed: int) -> np.ndarray:
    """Random rows of the training images, as many of each class as `labels` has, if classes count.

    Raises:
        UserError: there are too few of a class.
    """
    rng = np.random.default_rng(seed)
    wanted = labels if conditional else np.zeros_like(labels)
    there = learned.labels if conditional else np.zeros_like(learned.labels)
    chosen = []
    for label, count in zip(*np.unique(wanted, return_counts=True), strict=True):
        rows = np.flatnonzero(there == label)
        if len(rows) < count:
            raise UserError(
                f"generation.images: {count} of class {label} exceed the bank's {len(rows)} "
                "training images of it; ask for fewer, or raise bank.policy_images"
            )
        chosen.append(rng.choice(rows, count, replace=False))
    return np.concatenate(chosen)
