"""The elastic 1-D tokenizer: ViT encoder with latent queries, quantizer, prefix decoder.

Letters of shapes: `B` images, `N` latents, `P` patches, `D` width, `C` code dimension, `M` budgets.
Images are `[B, 3, H, W]` floats in `[0, 1]`.
"""

from __future__ import annotations

import copy
import math
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from adatok_core.budgets import heads_of, prefix_mask
from adatok_core.config import TokenizerConfig
from adatok_core.lora import HeadGroups, MultiHeadLinear, merge_head
from adatok_core.quantizers import Quantized, build_quantizer
from adatok_core.transformer import Transformer

# Scales of the codes that start the streams which are read out. The first norm makes them unit for
# attention; in the stream itself they leave room for content, without which codes do not vary.
LATENT_QUERY_SCALE, PIXEL_QUERY_SCALE = 0.2, 0.3


def sequence_positions(count: int, width: int, *, scale: float = 1.0) -> nn.Parameter:
    """Learned position codes `[count, width]` of a sequence, independent normal.

    The kept tokens' need unit scale: at the customary 0.02 the decoder ignores all tokens but the
    first for thousands of steps.
    """
    return nn.Parameter(scale * torch.randn(count, width))


def grid_positions(side: int, width: int, *, scale: float = 1.0) -> nn.Parameter:
    """Learned position codes `[side**2, width]` of a square grid, rows first.

    They start as sines and cosines of rows and columns of variance `scale**2`, with wavelengths
    from 2 patches to 4 grids: smooth, so that what neighbours share is learned at once.
    """
    quarter = width // 4
    frequencies = torch.logspace(math.log2(math.pi), math.log2(math.pi / (2 * side)), quarter, 2)
    phases = (torch.arange(side) + 0.5)[:, None] * frequencies
    waves = torch.cat([phases.sin(), phases.cos()], dim=1) * 2**0.5 * scale
    rows, columns = waves[:, None].expand(-1, side, -1), waves[None].expand(side, -1, -1)
    grid = torch.cat([rows, columns], dim=-1).reshape(side**2, 4 * quarter)
    return nn.Parameter(F.pad(grid, (0, width - 4 * quarter)))


class Encoder(nn.Module):
    """Patches and `N` learned queries attend to each other; only the queries are kept."""

    def __init__(self, config: TokenizerConfig, *, image_size: int):
        super().__init__()
        self.patch_size = config.patch_size
        self.embed = nn.Linear(3 * config.patch_size**2, config.width)
        # Content as loud as the unit-scale positions it is added to; the same in the decoder.
        nn.init.normal_(self.embed.weight, std=1.75 * self.embed.in_features**-0.5)
        self.patch_positions = grid_positions(image_size // config.patch_size, config.width)
        self.queries = sequence_positions(config.max_tokens, config.width, scale=LATENT_QUERY_SCALE)
        self.transformer = Transformer(
            config.encoder_depth, config.width, config.attention_heads, MultiHeadLinear
        )

    def forward(self, images: Tensor) -> Tensor:
        """Latents `[B, N, D]` of `images [B, 3, H, W]`."""
        patches = F.pixel_unshuffle(images * 2 - 1, self.patch_size).flatten(2).transpose(1, 2)
        patches = self.embed(patches) + self.patch_positions
        queries = self.queries.expand(len(images), -1, -1).to(patches.dtype)
        return self.transformer(torch.cat([queries, patches], dim=1))[:, : len(self.queries)]


class Decoder(nn.Module):
    """`P` position queries and the kept tokens attend to each other; the queries become pixels."""

    def __init__(self, config: TokenizerConfig, *, image_size: int, code_dimension: int):
        super().__init__()
        self.patch_size = config.patch_size
        self.grid = image_size // config.patch_size
        linear = partial(
            MultiHeadLinear,
            heads=len(config.budgets),
            rank=config.lora.rank,
            alpha=config.lora.alpha,
        )
        self.embed = linear(code_dimension, config.width)
        nn.init.normal_(self.embed.weight, std=1.75 * code_dimension**-0.5)
        self.token_positions = sequence_positions(config.max_tokens, config.width)
        self.queries = grid_positions(self.grid, config.width, scale=PIXEL_QUERY_SCALE)
        self.transformer = Transformer(
            config.decoder_depth, config.width, config.attention_heads, linear
        )
        self.pixels = linear(config.width, 3 * config.patch_size**2)

    def forward(
        self, codes: Tensor, groups: HeadGroups | None = None, visible: Tensor | None = None
    ) -> Tensor:
        """Images `[B, 3, H, W]` of `codes [B, k, C]`, sorted by head when `groups` is given.

        `visible [B, k]` hides tokens; without it all `k` are kept.
        """
        batch, kept = codes.shape[:2]
        tokens = self.embed(codes, groups) + self.token_positions[:kept]
        queries = self.queries.expand(batch, -1, -1).to(tokens.dtype)
        if visible is not None:
            visible = F.pad(visible, (self.grid**2, 0), value=True)
        x = self.transformer(torch.cat([queries, tokens], dim=1), groups, visible)
        patches = self.pixels(x[:, : self.grid**2], groups).transpose(1, 2)
        patches = patches.reshape(batch, -1, self.grid, self.grid)
        return (F.pixel_shuffle(patches.float(), self.patch_size) + 1) / 2


class ElasticTokenizer(nn.Module):
    """Encoder, quantizer and a decoder that serves every prefix of the tokens."""

    def __init__(self, config: TokenizerConfig, *, image_size: int):
        super().__init__()
        if image_size % config.patch_size:
            raise ValueError(
                f"patch_size: {config.patch_size} must divide the resolution {image_size}"
            )
        self.config = config
        self.image_size = image_size
        self.encoder = Encoder(config, image_size=image_size)
        self.quantizer = build_quantizer(config.width, config.quantizer, tokens=config.max_tokens)
        self.decoder = Decoder(
            config, image_size=image_size, code_dimension=self.quantizer.dimension
        )

    def forward(
        self, images: Tensor, kept: Tensor, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Quantized]:
        """Reconstruct `images` from the first `kept [B]` tokens of each: `([B, 3, H, W], ...)`."""
        quantized = self.quantizer(self.encoder(images), generator)
        return self.decode_codes(quantized.codes, kept), quantized

    @torch.no_grad()
    def calibrate(self, images: Tensor) -> None:
        """Fit the untrained quantizer's projection to `images [B, 3, H, W]`; see `Projection`."""
        quantizer = self.quantizer
        quantizer.project.calibrate(self.encoder(images), spread=quantizer.calibrated_spread)

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Token ids `[B, N]` and latents `[B, N, D]` of `images [B, 3, H, W]`."""
        latents = self.encoder(images)
        return self.quantizer(latents).ids, latents

    def decode(self, ids: Tensor, kept: Tensor) -> Tensor:
        """Images `[B, 3, H, W]` from the first `kept [B]` of the tokens `ids [B, N]`."""
        return self.decode_codes(self.quantizer.decode(ids), kept)

    def decode_codes(self, codes: Tensor, kept: Tensor) -> Tensor:
        """Images from the first `kept [B]` of `codes [B, N, C]`; a batch may mix budgets."""
        groups = HeadGroups.of(heads_of(kept, self.config.budgets), count=len(self.config.budgets))
        visible = prefix_mask(kept, codes.shape[1])
        images = self.decoder(codes[groups.order], groups, visible[groups.order])
        return images[groups.inverse]

    def merged_decoder(self, budget: int) -> Decoder:
        """A decoder for one `budget` with its head merged into the weights: the inference path.

        It takes `codes [B, budget, C]`: the tail is not hidden but absent.
        """
        head = int(heads_of(torch.tensor([budget]), self.config.budgets))
        decoder = copy.deepcopy(self.decoder)
        merge_head(decoder, head)
        return decoder.eval()


def to_float(pixels: Tensor) -> Tensor:
    """`uint8 [..., H, W]` to floats in `[0, 1]`."""
    return pixels.float() / 255


def to_uint8(images: Tensor) -> Tensor:
    """Floats to `uint8`: clamp to `[0, 1]`, times 255, round half to even."""
    return (images.clamp(0, 1) * 255).round().to(torch.uint8)


def parameter_count(module: nn.Module) -> int:
    """Number of parameters of `module`."""
    return sum(p.numel() for p in module.parameters())
