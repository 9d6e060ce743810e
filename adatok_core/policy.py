"""The budget policy `pi(m | x)`: attention pooling over the encoder's latents and a small MLP."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class BudgetPolicy(nn.Module):
    """Logits over `M` candidate budgets from latents `[B, N, D]`, whose gradient is stopped.

    A few learned queries pool the latents; a learned bias per latent lets them tell leading tokens
    from trailing ones.
    """

    def __init__(
        self, *, latents: int, width: int, candidates: int, pooling_queries: int, hidden: int
    ):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.queries = nn.Parameter(torch.randn(pooling_queries, width) * width**-0.5)
        self.latent_bias = nn.Parameter(torch.zeros(pooling_queries, latents))
        self.hidden = nn.Linear(pooling_queries * width, hidden)
        self.logits = nn.Linear(hidden, candidates)
        # Starts uniform, so that no budget is preferred before the features matter.
        nn.init.zeros_(self.logits.weight)
        nn.init.zeros_(self.logits.bias)

    def forward(self, latents: Tensor) -> Tensor:
        """Logits `[B, M]` of `latents [B, N, D]`."""
        values = self.norm(latents.detach())
        attention = (values @ self.queries.T).transpose(1, 2) + self.latent_bias
        pooled = attention.softmax(-1) @ values
        return self.logits(F.gelu(self.hidden(pooled.flatten(1))))

    def choose(self, latents: Tensor) -> Tensor:
        """Index of the most probable candidate budget of each image, `[B]` int64."""
        return self(latents).argmax(-1)
