"""A frozen tokenizer at work: pixels to tokens, and tokens to pixels. Imports torch."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from adatok_core.protocols import Tokenizer
from adatok_core.tokenizer import to_float, to_uint8
from bench.allocators.base import Seen
from bench.allocators.learned import LearnedPolicy
from bench.artifacts.bank import TOKENIZER_WEIGHTS
from bench.artifacts.exported import check_sums, load_exported, tokenizer_identity
from bench.artifacts.foreign import SETTINGS, identity_sha256
from bench.artifacts.networks import (
    POLICY_WEIGHTS,
    load_elastic,
    load_policy,
    read_trained_lengths,
)
from bench.artifacts.weights import checked, require_described
from bench.config.tokenizers import ExternalTokenizer
from bench.errors import UserError
from bench.external.adapter import build_external
from bench.external.guest import MissingFileError
from bench.external.identity import identity_of
from bench.models.token_files import TokenSource


@dataclass(frozen=True)
class ExportedModel:
    """A tokenizer, the policy exported with it if there is one, and their hashes.

    `where` is how the command line names it. The tokenizer's hash is that of its weights, or of
    someone else's identity (its code, and its arguments with files by content). `trained` are the
    numbers of tokens that training drew; None where that is not known. Pixels are uint8
    `[B, 3, R, R]` at the tokenizer's resolution `R`.
    """

    where: str
    tokenizer: Tokenizer
    policy: LearnedPolicy | None
    tokenizer_sha256: str
    policy_sha256: str | None = None
    trained: frozenset[int] | None = None
    device: str = "cpu"

    @staticmethod
    def load(folder: Path, *, device: str = "cpu") -> ExportedModel:
        """Raises UserError where `folder` is not as it was exported, or does not work."""
        sums = check_sums(folder)
        for file in (TOKENIZER_WEIGHTS, POLICY_WEIGHTS):
            if file in sums:
                require_described(folder / file)
        model = checked(folder, lambda: ExportedModel._load(folder, sums, device))
        own = TOKENIZER_WEIGHTS if TOKENIZER_WEIGHTS in sums else SETTINGS
        model._try_out(folder / (POLICY_WEIGHTS if model.policy else own), folder / own)
        return model

    @staticmethod
    def of_factory(settings: ExternalTokenizer, *, device: str = "cpu") -> ExportedModel:
        """The tokenizer of a factory, without a policy; paths are relative to the folder we are in.

        Raises:
            UserError: it cannot be made, or does not work.
        """
        folder = os.getcwd()
        try:
            tokenizer = build_external(settings, folder=folder, device=device)
        except MissingFileError as error:
            raise UserError(f"{error}; correct --argument") from None
        identity = identity_sha256(identity_of(settings, folder=folder))
        where = f"--tokenizer {settings.factory}"
        model = ExportedModel(where, tokenizer, None, identity, device=device)
        model._try_out(Path(settings.factory), Path(settings.factory))
        return model

    def _try_out(self, first: Path, second: Path) -> None:
        """One image there and back: a policy of another tokenizer shows here, in these files."""
        side = self.tokenizer.image_size
        budget = None if self.policy else self.tokenizer.max_tokens
        blank = np.zeros((1, 3, side, side), np.uint8)
        tokens = checked(first, lambda: self.encode(blank, budget))
        checked(second, lambda: next(self.decode([("", tokens[0].tolist())], batch=1)))

    @staticmethod
    def _load(folder: Path, sums: dict[str, str], device: str) -> ExportedModel:
        own = TOKENIZER_WEIGHTS in sums
        tokenizer = load_exported(folder, device=device)
        policy = None
        if POLICY_WEIGHTS in sums:
            network, config = load_policy(folder)
            policy = LearnedPolicy(
                policy=network,
                config=config,
                quantizer=load_elastic(folder).quantizer if own else None,
                patch_size=tokenizer.patch_size,
            )
        return ExportedModel(
            f"--model {folder}",
            tokenizer,
            policy,
            tokenizer_identity(folder),
            sums.get(POLICY_WEIGHTS),
            frozenset(read_trained_lengths(folder)) if own else None,
            device,
        )

    @property
    def codebook_size(self) -> int:
        """`V`, the number of ids."""
        return math.prod(self.tokenizer.code_sizes)

    def source(self, budget: int | None) -> TokenSource:
        """The origin of tokens of this model; `budget` as in `encode`."""
        return TokenSource(
            tokenizer_sha256=self.tokenizer_sha256,
            policy_sha256=self.policy_sha256 if budget is None else None,
            codebook_size=self.codebook_size,
            max_tokens=self.tokenizer.max_tokens,
            resolution=self.tokenizer.image_size,
            budget=budget,
        )

    def check_budget(self, budget: int | None) -> str | None:
        """A warning about a `budget` for all images, if there is one; None is the policy's own.

        Raises:
            UserError: it is out of range, or there is no policy to choose.
        """
        known = ", ".join(map(str, self.tokenizer.budgets))
        if budget is None:
            if self.policy is None:
                raise UserError(
                    f"{self.where}: has no policy to choose token budgets; give --budget, "
                    f"such as one of {known}"
                )
            return None
        if not 1 <= budget <= self.tokenizer.max_tokens:
            raise UserError(
                f"--budget {budget}: is outside 1..{self.tokenizer.max_tokens}; this model was "
                f"{'trained' if self.trained else 'made'} for {known}"
            )
        try:
            pixels = torch.zeros(1, 3, self.tokenizer.image_size, self.tokenizer.image_size)
            self.tokenizer.encode(pixels.to(self.device), budget)
            self.tokenizer.prefix_decoder(budget)
        except (ValueError, UserError) as error:
            raise UserError(f"--budget {budget}: {error}; this model has {known}") from None
        if self.trained is not None and budget not in self.trained:
            return (
                f"warning: --budget {budget}: training never drew this number of tokens; the next "
                "larger head decodes it"
            )
        return None

    def require_source(self, source: TokenSource, where: Path) -> None:
        """Refuse tokens of another model.

        Raises:
            UserError: names both.
        """
        ours = self.tokenizer_sha256
        if source.tokenizer_sha256 != ours:
            raise UserError(
                f"{where}: holds tokens of another model ({source.tokenizer_sha256[:12]}) than "
                f"{self.where} ({ours[:12]}); give the one that encoded them"
            )
        model = self.source(None)
        for key in ("codebook_size", "max_tokens", "resolution"):
            stated, known = getattr(source, key), getattr(model, key)
            if stated != known:
                raise UserError(
                    f"{where}: {key}: is {stated}, and {known} in {self.where}; encode the images "
                    "again"
                )

    @torch.inference_mode()
    def encode(self, pixels: np.ndarray, budget: int | None) -> list[np.ndarray]:
        """Token ids `[k]` of each image: `k` is the `budget`, or what the policy chooses."""
        images = to_float(torch.from_numpy(pixels).to(self.device))
        ids, latents = self.tokenizer.encode(images)
        if not 0 <= int(ids.min()) <= int(ids.max()) < self.codebook_size:
            raise UserError(
                f"{self.where}: gives ids outside its own codebook, as weights do that are no "
                "numbers or too large; export the cell again"
            )
        if budget is not None:
            kept = np.full(len(pixels), budget)
        elif self.policy is None:
            raise ValueError("budget: a model without a policy needs one")
        else:
            # As the bank holds them, on which the policy was trained and judged.
            seen = Seen(
                count=len(pixels),
                nested=self.tokenizer.nested,
                pixels=pixels,
                latents=None if latents is None else latents.half().cpu().numpy(),
                ids=ids.cpu().numpy(),
            )
            chosen = self.policy.allocate(seen.only(self.policy.sees)).chosen
            kept = np.array(self.policy.config.candidates)[chosen]
        tokens: list[Any] = [None] * len(pixels)
        for k in np.unique(kept):
            mine = ids if self.tokenizer.nested else self.tokenizer.encode(images, int(k))[0]
            rows = mine[:, :k].cpu().numpy()
            for row in np.flatnonzero(kept == k):
                tokens[row] = rows[row]
        return tokens

    @torch.inference_mode()
    def decode(
        self, named: Iterable[tuple[str, Sequence[int]]], *, batch: int
    ) -> Iterator[tuple[str, np.ndarray]]:
        """Names with pixels uint8 `[3, R, R]` of names with tokens, not in their order.

        Images of one budget are decoded together, `batch` at a time, through the head merged for
        it: as a bank decodes. At most `batch` images of each budget wait.
        """
        waiting: dict[int, list[tuple[str, Sequence[int]]]] = {}
        decoders: dict[int, Callable[[Tensor], Tensor]] = {}
        for name, tokens in named:
            queue = waiting.setdefault(len(tokens), [])
            queue.append((name, tokens))
            if len(queue) == batch:
                yield from self._decoded(waiting.pop(len(tokens)), decoders)
        for queue in waiting.values():
            yield from self._decoded(queue, decoders)

    def _decoded(
        self,
        queue: list[tuple[str, Sequence[int]]],
        decoders: dict[int, Callable[[Tensor], Tensor]],
    ) -> Iterator[tuple[str, np.ndarray]]:
        names, tokens = zip(*queue, strict=True)
        ids: Tensor = torch.tensor(tokens, dtype=torch.int64, device=self.device)
        if ids.shape[1] not in decoders:
            decoders[ids.shape[1]] = self.tokenizer.prefix_decoder(ids.shape[1])
        decoder = decoders[ids.shape[1]]
        images = to_uint8(decoder(ids)).cpu().numpy()
        yield from zip(names, images, strict=True)
