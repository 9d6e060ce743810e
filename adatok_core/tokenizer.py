"""The elastic tokenizer: an encoder, a quantizer, a decoder of prefixes.

Letters of shapes: `B` images, `N` latents, `P` patches, `D` width, `C` code dimension, `M` budgets,
`K` tokens at hand, `S` sequence. Images are `[B, 3, H, W]` floats in `[0, 1]`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from adatok_core.budgets import heads_of
from adatok_core.config import TokenizerConfig
from adatok_core.decoder import Decoder, MergedDecoder, SeparateDecoders
from adatok_core.encoders import build_encoder
from adatok_core.lora import HeadGroups
from adatok_core.quantizers import Quantized, build_quantizer


@dataclass(frozen=True)
class Reconstruction:
    """Images, codes and losses that a training step learns from.

    Attributes:
        images: `[R * B, 3, H, W]`, the batch reconstructed `R` times, one after the other.
        quantized: the codes that the last of them is of.
        losses: scalars of the tokenizer's own, by the names they are logged under.
    """

    images: Tensor
    quantized: Quantized
    losses: Mapping[str, Tensor]


class ElasticTokenizer(nn.Module):
    """Encoder, quantizer and a decoder that serves every prefix of the tokens.

    `nested`: the ids of a smaller budget are the first ones of a larger budget's. A training step
    decodes an image `passes` times for each length. Raises `ValueError` when patches or tokens do
    not fit the resolution.
    """

    passes = 1

    def __init__(self, config: TokenizerConfig, *, image_size: int):
        super().__init__()
        if image_size % config.patch_size:
            raise ValueError(
                f"patch_size: {config.patch_size} must divide the resolution {image_size}"
            )
        self.config = config
        self.image_size = image_size
        self.budgets, self.max_tokens = config.budgets, config.max_tokens
        self.encoder = build_encoder(config, image_size=image_size)
        self.nested = self.encoder.nested
        self.quantizer = build_quantizer(config.width, config.quantizer, tokens=config.max_tokens)
        kind = Decoder if config.decoders == "shared" else SeparateDecoders
        self.decoder = kind(config, image_size=image_size, code_dimension=self.quantizer.dimension)

    @property
    def patch_size(self) -> int:
        """Side of a patch in px."""
        return self.config.patch_size

    @property
    def bits_per_token(self) -> float:
        """`log2 V`."""
        return self.quantizer.bits

    @property
    def code_sizes(self) -> tuple[int, ...]:
        """Sizes of the `Q` codes that an id is made of."""
        return self.quantizer.code_sizes

    def codes(self, ids: Tensor) -> Tensor:
        """The codes `[B, K, Q]` of `ids [B, K]`."""
        return self.quantizer.parts(ids)

    def forward(
        self, images: Tensor, kept: Tensor, generator: torch.Generator | None = None
    ) -> Reconstruction:
        """Reconstruct `images` from the first `kept [R * B]` tokens of each, `R` lengths in turn.

        Nested tokens are encoded once; others, which depend on the length, once for each.
        """
        lengths = len(kept) // len(images)
        if not self.nested:
            images = images.repeat(lengths, 1, 1, 1)
        quantized = self.quantizer(self.encoder(images, kept), generator)
        codes = quantized.codes.repeat(len(kept) // len(images), 1, 1)
        losses = {"quantizer_loss": quantized.loss}
        return Reconstruction(self.decode_codes(codes, kept), quantized, losses)

    def encode(self, images: Tensor, budget: int | None = None) -> tuple[Tensor, Tensor]:
        """Token ids `[B, K]` and latents `[B, K, D]` of `images [B, 3, H, W]`; changes nothing.

        `K` is the `budget`, or `N` without one. Raises `ValueError` for one outside `1..N`.
        """
        budget = self.max_tokens if budget is None else budget
        kept = torch.full((len(images),), budget, device=images.device)
        heads_of(kept, self.budgets)  # refuses what lies outside
        latents = self.encoder(images, kept)
        return self.quantizer(latents).ids[:, :budget], latents[:, :budget]

    def decode(self, ids: Tensor, kept: Tensor) -> Tensor:
        """Images `[B, 3, H, W]` from the first `kept [B]` of the tokens `ids [B, K]`."""
        return self.decode_codes(self.quantizer.decode(ids), kept)

    def decode_codes(self, codes: Tensor, kept: Tensor) -> Tensor:
        """Images from the first `kept [B]` of `codes [B, K, C]`; a batch may mix budgets.

        Raises `ValueError` for a budget outside `1..N` or above `K`.
        """
        heads = heads_of(kept, self.budgets)
        if int(kept.max()) > codes.shape[1]:
            raise ValueError(f"codes: {codes.shape[1]} tokens given, {int(kept.max())} to be kept")
        groups = HeadGroups.of(heads, count=len(self.budgets))
        images: Tensor = self.decoder(codes[groups.order], kept[groups.order], groups)
        return images[groups.inverse]

    def merged_decoder(self, budget: int) -> MergedDecoder:
        """A copy of the decoder for one `budget`: `codes [B, budget, C]` to images.

        An untrained budget is served by the next larger head; raises `ValueError` outside `1..N`.
        """
        head = int(heads_of(torch.tensor([budget]), self.budgets))
        return MergedDecoder(self.decoder.of_head(head), budget=budget).eval()

    def prefix_decoder(self, budget: int) -> Callable[[Tensor], Tensor]:
        """`ids [B, budget]` to images, by the `merged_decoder`."""
        decoder = self.merged_decoder(budget)

        def decode(ids: Tensor) -> Tensor:
            images: Tensor = decoder(self.quantizer.decode(ids))
            return images

        return decode

    def parameter_counts(self) -> tuple[int, int]:
        """Parameters of all of it and of its encoder."""
        return parameter_count(self), parameter_count(self.encoder)


def to_float(pixels: Tensor) -> Tensor:
    """`uint8 [..., H, W]` to floats in `[0, 1]`."""
    return pixels.float() / 255


def to_uint8(images: Tensor) -> Tensor:
    """Floats to `uint8`: clamp to `[0, 1]`, times 255, round half to even."""
    return (images.clamp(0, 1) * 255).round().to(torch.uint8)


def parameter_count(module: nn.Module) -> int:
    """Number of parameters of `module`."""
    return sum(p.numel() for p in module.parameters())
