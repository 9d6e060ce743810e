"""Images as sequences of tokens: token ids, and where an image's own length is told, that too.

Letters: `n` images, `B` sequences, `N` largest number of ids, `T` tokens of the longest sequence.
Token `t` of a sequence is what a generator predicts at step `t`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Vocabulary:
    """Meaning of a generator's tokens, and how a sequence of them tells its length.

    Tokens `0..codes-1` are the codebook's ids. `lengths`:

    - `fixed`: an image is its ids and nothing else;
    - `end_token`: token `codes` follows the last id;
    - `length_token`: token `codes + m` comes first and says that `budgets[m]` ids follow.

    An image has 1 to `N = budgets[-1]` ids, and with a length token as many as one of the budgets.
    `classes` counts the labels, the null class not included.

    A decoder may ask for a length. Then the length token is the only first one, and there is no end
    token. `wanted` is that length, or 0 where the model decides (`fixed`: `N`).

    Raises:
        ValueError: no codes, negative classes, or budgets that do not increase from 1 or more.
    """

    codes: int
    budgets: tuple[int, ...]
    lengths: Literal["fixed", "end_token", "length_token"] = "fixed"
    classes: int = 0

    def __post_init__(self) -> None:
        increasing = list(self.budgets) == sorted({b for b in self.budgets if b >= 1})
        if not self.budgets or not increasing:
            raise ValueError(f"budgets: {list(self.budgets)} must increase strictly from 1 or more")
        if self.codes < 1:
            raise ValueError(f"codes: {self.codes} must be 1 or more")
        if self.classes < 0:
            raise ValueError(f"classes: {self.classes} must not be negative")

    @property
    def size(self) -> int:
        """Number of tokens that there are."""
        extra = {"fixed": 0, "end_token": 1, "length_token": len(self.budgets)}
        return self.codes + extra[self.lengths]

    @property
    def max_length(self) -> int:
        """`N`: ids of the longest image."""
        return self.budgets[-1]

    @property
    def max_steps(self) -> int:
        """Predictions for the longest image, its end or length token included."""
        return self.max_length + (self.lengths != "fixed")

    def sequences(self, ids: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens `[n, T]` of the first `lengths [n]` of `ids [n, N']`, and which are predicted.

        `T` is that of the longest of the `n`; behind the others stand zeros that `predicted [n, T]`
        leaves out.

        Raises:
            ValueError: an id that is not the codebook's, a length out of range or of no budget.
        """
        self.require_images(ids, lengths)
        lengths, longest = lengths.long()[:, None], int(lengths.max())
        places = torch.arange(longest + 1, device=ids.device)
        codes = torch.where(places[:-1] < lengths, ids[:, :longest].long(), 0)
        if self.lengths == "fixed":
            return codes, places[:-1] < lengths
        if self.lengths == "end_token":
            codes = torch.cat([codes, torch.zeros_like(lengths)], dim=1)
            return codes.masked_fill(places == lengths, self.codes), places <= lengths
        return torch.cat([self._length_tokens(lengths), codes], dim=1), places <= lengths

    def require_images(self, ids: Tensor, lengths: Tensor) -> None:
        """Raise `ValueError` unless the first `lengths [n]` of `ids [n, N']` are sequences."""
        longest = min(self.max_length, ids.shape[1])
        if lengths.min() < 1 or lengths.max() > longest:
            raise ValueError(f"lengths: must lie in 1..{longest}")
        if self.lengths == "length_token" and not {*lengths.tolist()} <= {*self.budgets}:
            raise ValueError(f"lengths: each must be one of the budgets {list(self.budgets)}")
        if ids.min() < 0 or ids.max() >= self.codes:
            raise ValueError(f"ids: must lie in 0..{self.codes - 1}")

    def _length_tokens(self, lengths: Tensor) -> Tensor:
        budgets = torch.tensor(self.budgets, device=lengths.device)
        return self.codes + torch.searchsorted(budgets, lengths)

    def allowed(self, steps: Tensor, wanted: Tensor | None = None) -> Tensor:
        """Which tokens may be predicted at `steps [B]` (0: the first), `[B, size]` bool.

        A length token comes first and never again; an end token never comes first. `wanted [B]` is
        0 for all unless given.
        """
        wanted = torch.zeros_like(steps) if wanted is None else wanted
        steps, wanted = steps[..., None], wanted[..., None]
        tokens = torch.arange(self.size, device=steps.device)
        is_code = (tokens < self.codes).expand(*steps.shape[:-1], -1)
        if self.lengths == "end_token":
            return is_code | ((steps > 0) & (wanted == 0))
        if self.lengths == "length_token":
            tells = ~is_code & ((wanted == 0) | (tokens == self._length_tokens(wanted)))
            return torch.where(steps == 0, tells, is_code)
        return is_code

    def require_label(self, label: int | None, *, class_conditional: bool) -> None:
        """Raise `ValueError` unless `label` is a class, or None for a generator without classes."""
        if class_conditional and label not in range(self.classes):
            raise ValueError(f"label: {label} is no class of 0..{self.classes - 1}")
        if not class_conditional and label is not None:
            raise ValueError(f"label: {label}, but the generator knows no classes")

    def steps_of(self, length: int | None) -> int:
        """Predictions for an image that is asked to have `length` ids; None: the most it may take.

        Raises:
            ValueError: when no image has so many ids.
        """
        if length is None:
            return self.max_steps
        if not 1 <= length <= self.max_length:
            raise ValueError(f"length: {length} does not lie in 1..{self.max_length}")
        if self.lengths != "length_token":
            return length
        if length not in self.budgets:
            raise ValueError(f"length: {length} is none of the budgets {list(self.budgets)}")
        return 1 + length

    def steps_after(self, tokens: Tensor, *, steps: Tensor, total: Tensor) -> Tensor:
        """Predictions from first to last, `total [B]` until `tokens [B]` at `steps` tell better.

        A sequence is over when `steps + 1` reaches it.
        """
        if self.lengths == "end_token":
            return torch.where(tokens == self.codes, steps + 1, total)
        if self.lengths == "length_token":
            budgets = torch.tensor(self.budgets, device=tokens.device)
            told = 1 + budgets[(tokens - self.codes).clamp(min=0)]
            return torch.where(steps == 0, told, total)
        return total

    def parse(self, tokens: Tensor, *, length: int | None = None) -> Parsed:
        """Read all `tokens [s]` produced for one image that was asked to have `length` ids.

        A sequence that should have ended by itself and did not is cut at `N`.
        """
        if self.lengths == "length_token":
            return Parsed(ids=tokens[1:], unended=False)
        if self.lengths == "fixed" or length:
            return Parsed(ids=tokens, unended=False)
        ended = int(tokens[-1]) == self.codes
        return Parsed(ids=tokens[:-1] if ended else tokens[: self.max_length], unended=not ended)


@dataclass(frozen=True, kw_only=True)
class Parsed:
    """The ids `[k]` of one image; `unended`: its sequence showed no end and was cut."""

    ids: Tensor
    unended: bool

    @property
    def length(self) -> int:
        """`k`."""
        return len(self.ids)
