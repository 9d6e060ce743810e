"""An exported model at work: pixels to tokens, and tokens to pixels. Imports torch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from adatok_core.tokenizer import ElasticTokenizer, to_float, to_uint8
from bench.allocators.base import Seen
from bench.allocators.learned import LearnedPolicy
from bench.artifacts.bank import TOKENIZER_WEIGHTS
from bench.artifacts.networks import (
    POLICY_WEIGHTS,
    load_elastic,
    load_policy,
    read_trained_lengths,
)
from bench.errors import UserError
from bench.models.export import check_sums
from bench.models.token_files import TokenSource
from bench.models.weights import checked, require_described


@dataclass(frozen=True)
class ExportedModel:
    """A tokenizer, the policy exported with it if there is one, and their hashes.

    Pixels are uint8 `[B, 3, R, R]` at the tokenizer's resolution `R`.
    """

    folder: Path
    tokenizer: ElasticTokenizer
    policy: LearnedPolicy | None
    sums: dict[str, str]
    device: str

    @staticmethod
    def load(folder: Path, *, device: str = "cpu") -> ExportedModel:
        """Raises UserError where `folder` is not as it was exported, or does not work."""
        sums = check_sums(folder)
        weights = [file for file in (TOKENIZER_WEIGHTS, POLICY_WEIGHTS) if file in sums]
        for file in weights:
            require_described(folder / file)
        model = checked(folder, lambda: ExportedModel._load(folder, sums, device))
        # One image there and back: a policy of another tokenizer shows here.
        side = model.tokenizer.image_size
        budget = None if model.policy else model.tokenizer.max_tokens
        blank = np.zeros((1, 3, side, side), np.uint8)
        tokens = checked(folder / weights[-1], lambda: model.encode(blank, budget))
        checked(
            folder / weights[0], lambda: next(model.decode([("", tokens[0].tolist())], batch=1))
        )
        return model

    @staticmethod
    def _load(folder: Path, sums: dict[str, str], device: str) -> ExportedModel:
        tokenizer = load_elastic(folder, device=device)
        policy = None
        if POLICY_WEIGHTS in sums:
            network, config = load_policy(folder)
            policy = LearnedPolicy(
                policy=network,
                config=config,
                quantizer=load_elastic(folder).quantizer,
                patch_size=tokenizer.config.patch_size,
            )
        return ExportedModel(folder, tokenizer, policy, sums, device)

    def source(self, budget: int | None) -> TokenSource:
        """The origin of tokens of this model; `budget` as in `encode`."""
        return TokenSource(
            tokenizer_sha256=self.sums[TOKENIZER_WEIGHTS],
            policy_sha256=self.sums.get(POLICY_WEIGHTS) if budget is None else None,
            codebook_size=self.tokenizer.quantizer.codebook_size,
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
                    f"--model {self.folder}: has no policy to choose token budgets; give --budget, "
                    f"such as one of {known}"
                )
            return None
        if not 1 <= budget <= self.tokenizer.max_tokens:
            raise UserError(
                f"--budget {budget}: is outside 1..{self.tokenizer.max_tokens}; this model was "
                f"trained for {known}"
            )
        try:
            pixels = torch.zeros(1, 3, self.tokenizer.image_size, self.tokenizer.image_size)
            self.tokenizer.encode(pixels.to(self.device), budget)
        except ValueError as error:
            raise UserError(f"--budget {budget}: {error}; this model has {known}") from None
        if budget not in read_trained_lengths(self.folder):
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
        ours = self.sums[TOKENIZER_WEIGHTS]
        if source.tokenizer_sha256 != ours:
            raise UserError(
                f"{where}: holds tokens of another model ({source.tokenizer_sha256[:12]}) than "
                f"{self.folder} ({ours[:12]}); give the --model that encoded them"
            )
        model = self.source(None)
        for key in ("codebook_size", "max_tokens", "resolution"):
            stated, known = getattr(source, key), getattr(model, key)
            if stated != known:
                raise UserError(
                    f"{where}: {key}: is {stated}, and {known} in {self.folder}; encode the images "
                    "again"
                )

    @torch.inference_mode()
    def encode(self, pixels: np.ndarray, budget: int | None) -> list[np.ndarray]:
        """Token ids `[k]` of each image: `k` is the `budget`, or what the policy chooses."""
        images = to_float(torch.from_numpy(pixels).to(self.device))
        ids, latents = self.tokenizer.encode(images)
        if not 0 <= int(ids.min()) <= int(ids.max()) < self.tokenizer.quantizer.codebook_size:
            raise UserError(
                f"{self.folder}: gives ids outside its own codebook, as weights do that are no "
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
                latents=latents.half().cpu().numpy(),
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
        decoders: dict[int, nn.Module] = {}
        for name, tokens in named:
            queue = waiting.setdefault(len(tokens), [])
            queue.append((name, tokens))
            if len(queue) == batch:
                yield from self._decoded(waiting.pop(len(tokens)), decoders)
        for queue in waiting.values():
            yield from self._decoded(queue, decoders)

    def _decoded(
        self, queue: list[tuple[str, Sequence[int]]], decoders: dict[int, nn.Module]
    ) -> Iterator[tuple[str, np.ndarray]]:
        names, tokens = zip(*queue, strict=True)
        ids: Tensor = torch.tensor(tokens, dtype=torch.int64, device=self.device)
        if ids.shape[1] not in decoders:
            decoders[ids.shape[1]] = self.tokenizer.merged_decoder(ids.shape[1])
        decoder = decoders[ids.shape[1]]
        images = to_uint8(decoder(self.tokenizer.quantizer.decode(ids))).cpu().numpy()
        yield from zip(names, images, strict=True)
