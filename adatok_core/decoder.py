"""Decoders of prefixes: one for all budgets, one per budget, and one merged for a single budget."""

from __future__ import annotations

import copy
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from adatok_core.budgets import prefix_mask
from adatok_core.config import TokenizerConfig
from adatok_core.lora import HeadGroups, adapted, merge_head
from adatok_core.positions import grid_positions, sequence_positions
from adatok_core.transformer import Transformer

# As in the encoder: what starts the stream that is read out leaves room for content.
PIXEL_QUERY_SCALE = 0.3


class Decoder(nn.Module):
    """`P` position queries and the tokens attend to each other; the queries become pixels.

    The tail is cut off, hidden, or replaced, as `TokenizerConfig.tail` says.
    """

    def __init__(self, config: TokenizerConfig, *, image_size: int, code_dimension: int):
        super().__init__()
        self.patch_size, self.tail = config.patch_size, config.tail
        self.grid = image_size // config.patch_size
        linear = adapted(config.lora, budgets=len(config.budgets))
        self.embed = linear("embed", code_dimension, config.width)
        nn.init.normal_(self.embed.weight, std=1.75 * code_dimension**-0.5)
        self.token_positions = sequence_positions(config.max_tokens, config.width)
        self.queries = grid_positions(self.grid, config.width, scale=PIXEL_QUERY_SCALE)
        self.transformer = Transformer(
            config.decoder_depth, config.width, config.attention_heads, linear
        )
        self.pixels = linear("pixels", config.width, 3 * config.patch_size**2)
        # As loud as the embedded codes in whose place they stand.
        if self.tail == "mask_vector":
            self.absent = nn.Parameter(torch.randn(config.width))
        elif self.tail == "null_vectors":
            self.absent = nn.Parameter(torch.randn(config.max_tokens, config.width))

    def forward(
        self, codes: Tensor, kept: Tensor | None = None, groups: HeadGroups | None = None
    ) -> Tensor:
        """Images `[B, 3, H, W]` from the first `kept [B]` of `codes [B, K, C]`, or from all.

        With one set of adapters per budget, images are sorted by head as `groups` say.
        """
        tokens, mask = self._tokens(codes, kept, groups)
        queries = self.queries.expand(len(codes), -1, -1).to(tokens.dtype)
        x = self.transformer(torch.cat([queries, tokens], dim=1), groups, mask)
        patches = self.pixels(x[:, : self.grid**2], groups).transpose(1, 2)
        patches = patches.reshape(len(codes), -1, self.grid, self.grid)
        return (F.pixel_shuffle(patches.float(), self.patch_size) + 1) / 2

    def _tokens(
        self, codes: Tensor, kept: Tensor | None, groups: HeadGroups | None
    ) -> tuple[Tensor, Tensor | None]:
        """Embedded prefixes and tails `[B, S, D]`; which keys `[B, 1, 1, P + S]` are not hidden."""
        if self.tail == "dropped" and kept is not None:
            codes = codes[:, : int(kept.max())]
        if self.tail == "zeros":
            codes = self._replaced(codes, kept, codes.new_zeros(()))
            return self.embed(codes, groups) + self.token_positions, None
        tokens = self.embed(codes, groups)
        if self.tail in ("mask_vector", "null_vectors"):
            return self._replaced(tokens, kept, self.absent) + self.token_positions, None
        tokens = tokens + self.token_positions[: codes.shape[1]]
        if kept is None:
            return tokens, None
        visible = F.pad(prefix_mask(kept, codes.shape[1]), (self.grid**2, 0), value=True)
        return tokens, visible[:, None, None]

    def _replaced(self, tokens: Tensor, kept: Tensor | None, absent: Tensor) -> Tensor:
        """`N` tokens or codes of each image: its first `kept [B]` and `absent` behind them."""
        batch, given, _ = tokens.shape
        if kept is None:
            kept = torch.full((batch,), given, device=tokens.device)
        count = len(self.token_positions)
        tokens = F.pad(tokens, (0, 0, 0, count - given))
        return torch.where(prefix_mask(kept, count)[..., None], tokens, absent)

    def of_head(self, head: int) -> Decoder:
        """A copy with the adapters of `head` merged into the weights."""
        decoder = copy.deepcopy(self)
        merge_head(decoder, head)
        return decoder


class SeparateDecoders(nn.ModuleList):
    """One decoder per budget; nothing is shared."""

    def __init__(self, config: TokenizerConfig, *, image_size: int, code_dimension: int):
        super().__init__(
            Decoder(config, image_size=image_size, code_dimension=code_dimension)
            for _ in config.budgets
        )

    def forward(self, codes: Tensor, kept: Tensor, groups: HeadGroups) -> Tensor:
        """Images `[B, 3, H, W]` from the first `kept [B]` of `codes [B, K, C]`, sorted by head."""
        ends = groups.ends[:-1].cpu()
        parts = zip(self, codes.tensor_split(ends), kept.tensor_split(ends), strict=True)
        return torch.cat([decoder(c, k) for decoder, c, k in parts if len(k)])

    def of_head(self, head: int) -> Decoder:
        """A copy of the decoder of `head`."""
        return copy.deepcopy(cast(Decoder, self[head]))


class MergedDecoder(nn.Module):
    """Decodes one budget at the cost of a plain decoder: the inference path."""

    def __init__(self, decoder: Decoder, *, budget: int):
        super().__init__()
        self.decoder, self.budget = decoder, budget

    def forward(self, codes: Tensor) -> Tensor:
        """Images `[B, 3, H, W]` of `codes [B, budget, C]`; `ValueError` for another length."""
        if codes.shape[1] != self.budget:
            raise ValueError(
                f"codes: {codes.shape[1]} tokens given to a decoder merged for {self.budget}"
            )
        images: Tensor = self.decoder(codes)
        return images
