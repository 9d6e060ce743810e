"""The budget policy `pi(m | x)`: attention pooling over a sequence of features and a small MLP."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

EMBEDDING_WIDTH = 64


class BudgetPolicy(nn.Module):
    """Logits over `M` candidate budgets from features `[B, T, d]`, whose gradient is stopped.

    The features are the encoder's latents; or, with `embed`, codes or patches of pixels, which
    first pass through a linear map with a learned code per position. A few learned queries pool
    the sequence; a learned bias per position lets them tell leading tokens from trailing ones.
    """

    def __init__(
        self,
        *,
        length: int,
        width: int,
        candidates: int,
        pooling_queries: int,
        hidden: int,
        embed: bool = False,
    ):
        super().__init__()
        self.embed = nn.Linear(width, EMBEDDING_WIDTH) if embed else None
        if embed:
            self.positions = nn.Parameter(torch.randn(length, EMBEDDING_WIDTH))
            width = EMBEDDING_WIDTH
        self.norm = nn.LayerNorm(width)
        self.queries = nn.Parameter(torch.randn(pooling_queries, width) * width**-0.5)
        self.position_bias = nn.Parameter(torch.zeros(pooling_queries, length))
        self.hidden = nn.Linear(pooling_queries * width, hidden)
        self.logits = nn.Linear(hidden, candidates)
        # Starts uniform, so that no budget is preferred before the features matter.
        nn.init.zeros_(self.logits.weight)
        nn.init.zeros_(self.logits.bias)

    @property
    def length(self) -> int:
        """How many features of an image it looks at, `T`."""
        return self.position_bias.shape[1]

    def forward(self, features: Tensor) -> Tensor:
        """Logits `[B, M]` of `features [B, T, d]`."""
        features = features.detach()
        if self.embed is not None:
            features = F.gelu(self.embed(features) + self.positions)
        values = self.norm(features)
        attention = (values @ self.queries.T).transpose(1, 2) + self.position_bias
        pooled = attention.softmax(-1) @ values
        logits: Tensor = self.logits(F.gelu(self.hidden(pooled.flatten(1))))
        return logits

    def choose(self, features: Tensor) -> Tensor:
        """Index of the most probable candidate budget of each image, `[B]` int64."""
        logits: Tensor = self(features)
        return logits.argmax(-1)


def patches_of(pixels: Tensor, patch_size: int) -> Tensor:
    """Patches `[B, P, 3 p**2]` in `[-1, 1]` of 8-bit images `[B, 3, H, W]`: the pixel input."""
    images = pixels.float() / 127.5 - 1
    return F.pixel_unshuffle(images, patch_size).flatten(2).transpose(1, 2)
