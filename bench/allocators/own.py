"""A tokenizer's own allocation: it halts by itself, at lengths that are no candidate budgets."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from bench.artifacts.bank import Bank, per_image_names
from bench.errors import UserError

PREFIX = "own_"


class OwnBank(Bank):
    """A bank whose columns are the targets of the tokenizer's own allocation, not budgets.

    The arrays `own_<name> [n, E]` go by the names of a bank's, so whatever reads columns of a bank
    reads these. Beside them stand `own_tokens [n, E]`.
    """

    @staticmethod
    def of(bank: Bank) -> OwnBank:
        """The tokenizer's own side of a bank.

        Raises:
            UserError: the bank has none.
        """
        if not bank.about.get("own_targets"):
            raise UserError(
                "allocator.kind: own: this tokenizer does not halt by itself, its bank has no "
                "lengths of its own; choose another allocator"
            )
        arrays = bank.about["arrays"]
        about: dict[str, Any] = {
            **bank.about,
            "arrays": [
                *(name.removeprefix(PREFIX) for name in arrays if name.startswith(PREFIX)),
                *(name for name in arrays if name.endswith("_originals")),
            ],
            "extractors": {
                name: card
                for name, card in bank.about["extractors"].items()
                if PREFIX + name in arrays
            },
        }
        return OwnBank(bank.path, about)

    @property
    def targets(self) -> list[float]:
        """Errors that the tokenizer was asked to reach, one per column."""
        return list(self.about["own_targets"])

    def column(self, target: float) -> int:
        """The column of a target.

        Raises:
            UserError: the bank was not built for it.
        """
        if target not in self.targets:
            raise UserError(
                f"allocator.target: {target:g} is none of the targets "
                f"{', '.join(f'{known:g}' for known in self.targets)} of this tokenizer's bank; "
                "choose one of them"
            )
        return self.targets.index(target)

    def array(self, name: str) -> np.ndarray:
        """A memory-mapped array by the name that it has in a bank of budgets."""
        return super().array(name if name.endswith("_originals") else PREFIX + name)

    def tokens(self, chosen: np.ndarray) -> np.ndarray:
        """How many tokens `[n]` each image took at the target with index `chosen [n]`."""
        tokens: np.ndarray = self.array("tokens")[np.arange(len(chosen)), chosen]
        return tokens

    def rows(self, chosen: np.ndarray) -> pd.DataFrame:
        """One row per image at the target with index `chosen [n]`."""
        of_budgets = per_image_names(self.about)
        table = self.table().drop(columns=of_budgets, errors="ignore")
        table = table.iloc[:: len(self.about["budgets"])]
        table = table.assign(budget=self.tokens(chosen)).reset_index(drop=True)
        for name in self.measured:
            table[name] = self.array(name)[np.arange(len(chosen)), chosen]
        return table
