"""Someone else's tokenizer as the harness uses it; all that it gives is checked."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from torch import Tensor

from adatok_core.tokenizer import to_uint8
from bench.config.tokenizers import ExternalTokenizer
from bench.errors import UserError
from bench.external.guest import Guest, Origin, invite
from bench.external.identity import code_of, origin_of
from bench.external.protocol import Description
from bench.files import canonical_json

PATCH = 16


class ExternalAdapter:
    """A `Tokenizer` (`adatok_core.protocols`) of a guest, at the `budgets` it is to be used at.

    Images of `decode` are what 8 bits hold, in the guest's own rounding.
    """

    def __init__(self, guest: Guest, *, budgets: tuple[int, ...], where: str, device: str = "cpu"):
        self.guest, self.where, self.device = guest, where, device
        self.description: Description = guest.description
        self.budgets, self.max_tokens = budgets, budgets[-1]
        self.nested, self.image_size = self.description.nested, self.description.resolution
        require_served(self.description, budgets, where=where)

    @property
    def patch_size(self) -> int:
        """Side in px of a patch for policies on pixels."""
        return self.description.patch_size or math.gcd(self.image_size, PATCH)

    @property
    def bits_per_token(self) -> float:
        """`log2 V`."""
        return self.description.bits

    @property
    def code_sizes(self) -> tuple[int, ...]:
        """The size of its codebook: an id is one code."""
        return (self.description.codes,)

    def codes(self, ids: Tensor) -> Tensor:
        """The ids as codes `[B, K, 1]`."""
        return ids[..., None]

    def parameter_counts(self) -> tuple[int | None, int | None]:
        """Parameters of all of it and of its encoder, as it describes them."""
        return self.description.parameters, self.description.encoder_parameters

    def encode(self, images: Tensor, budget: int | None = None) -> tuple[Tensor, Tensor | None]:
        """Ids `[B, K]` int64 and features `[B, L, D]`, if it has any.

        Raises:
            UserError: what it gives is not that, or an id is outside its codebook.
        """
        budget = self.max_tokens if budget is None else budget
        described, further, expected = self.description, {}, self.description.largest
        if not described.nested and len(described.meant_for) > 1:
            further, expected = {"budget": budget}, budget
        given = self.guest.call("encode", images.cpu().numpy(), **further)
        if len(given) > 2:
            raise self._nonsense("encode", _told(given), "ids, or ids and features")
        ids = self._ids(given[0] if given else None, (len(images), expected))
        features = self._features(given[1], len(images)) if len(given) > 1 else None
        return ids[:, :budget].to(self.device), features

    def decode(self, ids: Tensor, kept: Tensor) -> Tensor:
        """Images of the first `kept [B]` of `ids [B, K]`, decoded by length."""
        images = torch.empty(len(ids), 3, self.image_size, self.image_size, device=self.device)
        for budget in kept.unique().tolist():
            rows = kept == budget
            images[rows] = self._decoded(ids[rows, :budget])
        return images

    def prefix_decoder(self, budget: int) -> Callable[[Tensor], Tensor]:
        """`ids [B, budget]` to images."""
        require_served(self.description, (budget,), where=self.where)
        return self._decoded

    def _decoded(self, ids: Tensor) -> Tensor:
        given = self.guest.call("decode", ids.cpu().numpy())
        shape = (len(ids), 3, self.image_size, self.image_size)
        if len(given) != 1 or given[0].shape != shape:
            raise self._nonsense("decode", _told(given), f"images {list(shape)}")
        (images,) = given
        if images.dtype == np.uint8:
            return torch.from_numpy(images).to(self.device).float() / 255
        if images.dtype.kind != "f" or not np.isfinite(images).all():
            raise self._nonsense("decode", "values that are no finite floats", "floats, or uint8")
        low, high = self.description.range
        unit = (torch.from_numpy(images.astype(np.float32)) - low) / (high - low)
        if self.description.rounding == "truncate":
            eight = (unit.clamp(0, 1) * 255).to(torch.uint8)
        else:
            eight = to_uint8(unit)
        return eight.to(self.device).float() / 255

    def _ids(self, ids: Any, shape: tuple[int, int]) -> Tensor:
        if ids is None or ids.shape != shape or ids.dtype.kind not in "iu":
            told = _told([] if ids is None else [ids])
            raise self._nonsense("encode", told, f"integers {list(shape)}")
        codes = self.description.codes
        if np.iinfo(ids.dtype).max < codes - 1:
            raise self._nonsense("encode", f"ids of type {ids.dtype}", f"a type for {codes} codes")
        if ids.size and not 0 <= int(ids.min()) <= int(ids.max()) < codes:
            given = f"ids from {ids.min()} to {ids.max()}"
            raise self._nonsense("encode", given, f"ids in 0..{codes - 1}")
        return torch.from_numpy(ids.astype(np.int64))

    def _features(self, features: np.ndarray, count: int) -> Tensor:
        if features.ndim == 2:
            features = features[:, None]
        fits = features.ndim == 3 and len(features) == count and features.dtype.kind == "f"
        if not fits or not np.isfinite(features).all():
            told = f"features of shape {list(features.shape)} and type {features.dtype}"
            raise self._nonsense("encode", told, "finite floats [B, L, D] or [B, D]")
        return torch.from_numpy(features.astype(np.float32))

    def _nonsense(self, method: str, given: str, wanted: str) -> UserError:
        return UserError(f"{self.where}: {method} gives {given}; it must give {wanted}")


def build_external(
    settings: ExternalTokenizer, *, folder: str, device: str = "cpu"
) -> ExternalAdapter:
    """Make a suite's tokenizer, ready for use; made anew only where another was made between.

    Raises:
        MissingFileError: a file that its factory wants is not there.
        UserError: it cannot be made, or not be used at its budgets.
    """
    origin = origin_of(settings, folder=folder)
    guest = _invited(origin, device)
    budgets = settings.budgets or guest.description.meant_for
    return ExternalAdapter(guest, budgets=budgets, where=origin.where, device=device)


def make_external(
    settings: ExternalTokenizer, *, folder: str, device: str = "cpu"
) -> ExternalAdapter:
    """A suite's tokenizer, made anew; raises as `build_external`."""
    _LAST.clear()
    return build_external(settings, folder=folder, device=device)


# The last one that was made, by its origin, code and device. Two may be more than memory holds.
_LAST: dict[tuple[str, str, str], Guest] = {}


def _invited(origin: Origin, device: str) -> Guest:
    key = (canonical_json(asdict(origin)), canonical_json(code_of(origin)), device)
    if key not in _LAST or not _LAST[key].alive:
        _LAST.clear()
        _LAST[key] = invite(origin, device=device)
    return _LAST[key]


def require_served(description: Description, budgets: tuple[int, ...], *, where: str) -> None:
    """Refuse budgets that a tokenizer has not, by a UserError."""
    for budget in budgets:
        if not description.serves(budget):
            known = f"1..{description.largest}" if description.nested else description.meant_for
            known = known if isinstance(known, str) else ", ".join(map(str, known))
            raise UserError(f"{where}: budgets: {budget} is not among those it has: {known}")


def _told(arrays: list[np.ndarray]) -> str:
    if not arrays:
        return "nothing"
    return " and ".join(f"an array {list(one.shape)} of {one.dtype}" for one in arrays)
