"""A tokenizer under examination: what it gives, before anything of ours has checked it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from adatok_core.protocols import Tokenizer
from bench.errors import UserError
from bench.external.adapter import ExternalAdapter

Arrays = list[np.ndarray]


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A tokenizer by its description, its `budgets` and two functions.

    `encode(images, budget)` gives ids and features, if any; `encode_at` the ids of one that is
    nested where it takes a budget, else None. `anew()` is the same tokenizer, made once more.
    """

    resolution: int
    budgets: tuple[int, ...]
    nested: bool
    codes: int
    range: tuple[float, float]
    encode: Callable[[np.ndarray, int], Arrays]
    decode: Callable[[np.ndarray], Arrays]
    encode_at: Callable[[np.ndarray, int], np.ndarray | None]
    anew: Callable[[], Subject]

    def on_unit(self, images: np.ndarray) -> np.ndarray:
        """Decoded images on [0, 1] of the range, not clamped."""
        if images.dtype == np.uint8:
            return images.astype(np.float64) / 255
        low, high = self.range
        return (images.astype(np.float64) - low) / (high - low)


def foreign_subject(made: Callable[[], ExternalAdapter]) -> Subject:
    """A tokenizer of someone else; `made` makes one that nobody has used."""
    adapter = made()
    described, guest = adapter.description, adapter.guest
    several = not described.nested and len(described.meant_for) > 1

    def encode(images: np.ndarray, budget: int) -> Arrays:
        given = guest.call("encode", images, **({"budget": budget} if several else {}))
        # The budgets in use may end before the tokenizer does.
        if described.nested and given and given[0].shape[1:] == (described.largest,):
            given[0] = given[0][:, :budget]
        return given

    def encode_at(images: np.ndarray, budget: int) -> np.ndarray | None:
        try:
            given = guest.call("encode", images, budget=budget)
        except UserError:
            return None
        fits = given and given[0].shape == (len(images), budget)
        return given[0] if fits else None

    return Subject(
        resolution=described.resolution,
        budgets=adapter.budgets,
        nested=described.nested,
        codes=described.codes,
        range=described.range,
        encode=encode,
        decode=lambda ids: guest.call("decode", ids),
        encode_at=encode_at,
        anew=lambda: foreign_subject(made),
    )


def own_subject(made: Callable[[], Tokenizer], *, device: str) -> Subject:
    """A tokenizer that has the harness's own interface."""
    tokenizer = made()

    @torch.inference_mode()
    def encode(images: np.ndarray, budget: int) -> Arrays:
        try:
            given = tokenizer.encode(torch.from_numpy(images.copy()).to(device), budget)
        except (RuntimeError, ValueError) as error:
            raise UserError(f"encode failed: {error}") from error
        return [
            part.float().cpu().numpy() if part.is_floating_point() else part.cpu().numpy()
            for part in given
            if part is not None
        ]

    @torch.inference_mode()
    def decode(ids: np.ndarray) -> Arrays:
        tensor = torch.from_numpy(ids.copy()).to(device)
        return [tokenizer.prefix_decoder(ids.shape[1])(tensor).float().cpu().numpy()]

    return Subject(
        resolution=tokenizer.image_size,
        budgets=tuple(tokenizer.budgets),
        nested=tokenizer.nested,
        codes=int(np.prod(np.array(tokenizer.code_sizes, dtype=object))),
        range=(0.0, 1.0),
        encode=encode,
        decode=decode,
        encode_at=lambda images, budget: encode(images, budget)[0],
        anew=lambda: own_subject(made, device=device),
    )
