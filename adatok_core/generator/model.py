"""The class-conditional decoder-only transformer over token ids (design 5.3).

Letters: `B` sequences, `S` positions, `D` width, `H` heads of `d = D / H`, `V` ids, `C` classes.
Position 0 holds the class, position `t + 1` token `t`; the logits at position `p` predict token
`p`. A block's arithmetic is written once, and what its attention looks at is handed in: the whole
sequence here, a cache of keys and values while decoding.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from adatok_core.positions import sequence_positions

if TYPE_CHECKING:
    from adatok_core.config.generator import GeneratorConfig

# Queries, keys and values `[..., H, d]` to what each query reads, `[..., H, d]`.
Attend = Callable[[Tensor, Tensor, Tensor], Tensor]

NORMS = {"rms": nn.RMSNorm, "layer": nn.LayerNorm}
NORM_EPSILON = 1e-5
ROTARY_BASE = 10_000.0
LOGIT_SCALE = 0.02  # nearly uniform predictions at the start
# In one small training the validation loss ended lower than from unit scale.
ENTRY_SCALE = 0.05


class Generator(nn.Module):
    """Predicts every next id of a sequence. Weights are drawn with torch's current seed."""

    rotation: Tensor

    def __init__(
        self, config: GeneratorConfig, *, vocabulary_size: int, classes: int, max_steps: int
    ):
        super().__init__()
        self.config = config
        self.vocabulary_size = vocabulary_size
        self.classes = classes if config.class_conditional else 0
        self.max_steps = max_steps
        width, norm = config.width, NORMS[config.norm]
        # One table for ids and, behind them, the classes and the null class: sequences at their
        # class and sequences at a token enter a decoding step by the same lookup.
        self.entries = nn.Embedding(vocabulary_size + self.classes + 1, width)
        nn.init.normal_(self.entries.weight, std=ENTRY_SCALE)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.depth))
        self.norm = norm(width, eps=NORM_EPSILON)
        self.logits = nn.Linear(width, vocabulary_size, bias=False)
        nn.init.normal_(self.logits.weight, std=LOGIT_SCALE)
        if config.positions == "learned":
            self.positions = sequence_positions(max_steps, width, scale=ENTRY_SCALE)
        else:
            rotation = rotary_tables(max_steps, width // config.attention_heads)
            self.register_buffer("rotation", rotation, persistent=False)

    def entries_of(self, classes: Tensor | None, count: int) -> Tensor:
        """Entries `[count]` of `classes [count]` in `[0, C]`, `C` being the null class.

        Without classes every sequence begins with the null class.
        """
        if classes is None:
            classes = torch.full((count,), self.classes, device=self.entries.weight.device)
        return self.vocabulary_size + classes

    def forward(self, classes: Tensor | None, tokens: Tensor) -> Tensor:
        """Logits `[B, S + 1, V]` of `tokens [B, S]`: causal, nothing cached.

        Raises:
            ValueError: when the sequence has more than `max_steps` positions.
        """
        start = self.entries_of(classes, len(tokens))
        entries = torch.cat([start[:, None], tokens], dim=1)
        length = entries.shape[1]
        if length > self.max_steps:
            raise ValueError(f"tokens: {length} positions exceed the model's {self.max_steps}")
        positions = torch.arange(length, device=entries.device)
        return self.predict(entries, positions, itertools.repeat(attend_causally))

    def predict(self, entries: Tensor, positions: Tensor, attends: Iterable[Attend]) -> Tensor:
        """Logits `[..., V]` of `entries [...]` at `positions`, with an attention for each block."""
        x, rotation = self.entries(entries), None
        if self.config.positions == "learned":
            x = x + self.positions[positions]
        else:
            rotation = self.rotation[:, positions]
        for block, attend in zip(self.blocks, attends, strict=False):
            x = block(x, rotation, attend)
        logits: Tensor = self.logits(self.norm(x))
        return logits


class Block(nn.Module):
    """Attention and a gated network (SwiGLU, Shazeer 2020), each on a residual branch."""

    def __init__(self, config: GeneratorConfig):
        super().__init__()
        width, hidden, norm = config.width, hidden_width(config), NORMS[config.norm]
        self.attention_heads = config.attention_heads
        self.norm_attention = norm(width, eps=NORM_EPSILON)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.norm_mlp = norm(width, eps=NORM_EPSILON)
        self.gate_and_value = nn.Linear(width, 2 * hidden, bias=False)
        self.contract = nn.Linear(hidden, width, bias=False)
        for layer in (self.qkv, self.gate_and_value):
            nn.init.normal_(layer.weight, std=layer.in_features**-0.5)
        for layer in (self.out, self.contract):
            # Residual branches start small, so that depth does not blow up the stream.
            nn.init.normal_(layer.weight, std=(2 * config.depth * layer.in_features) ** -0.5)

    def forward(self, x: Tensor, rotation: Tensor | None, attend: Attend) -> Tensor:
        """Map `x [..., D]` to `[..., D]`; `rotation [2, ..., d]` is that of its positions."""
        qkv = self.qkv(self.norm_attention(x)).unflatten(-1, (3, self.attention_heads, -1))
        queries_and_keys, values = qkv[..., :2, :, :], qkv[..., 2, :, :]
        if rotation is not None:
            queries_and_keys = rotate(queries_and_keys, rotation[..., None, None, :])
        queries, keys = queries_and_keys.unbind(-3)
        x = x + self.out(attend(queries, keys, values).flatten(-2))
        gate, value = self.gate_and_value(self.norm_mlp(x)).chunk(2, dim=-1)
        x = x + self.contract(F.silu(gate) * value)
        return x


def hidden_width(config: GeneratorConfig) -> int:
    """The gated network's width: given, or 8/3 of the model's, rounded up to a multiple of 64."""
    return config.hidden or -(-8 * config.width // (3 * 64)) * 64


def attend_causally(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Every position of `[B, S, H, d]` reads itself and those before it."""
    q, k, v = (x.transpose(1, 2) for x in (queries, keys, values))
    return F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2)


def rotary_tables(positions: int, head_width: int) -> Tensor:
    """Cosines and signed sines `[2, positions, d]` of rotary positions (Su et al. 2021)."""
    frequencies = ROTARY_BASE ** (-torch.arange(0, head_width, 2) / head_width)
    angles = torch.arange(positions)[:, None] * frequencies
    cosines, sines = angles.cos(), angles.sin()
    return torch.stack([torch.cat([cosines, cosines], -1), torch.cat([-sines, sines], -1)])


def rotate(x: Tensor, rotation: Tensor) -> Tensor:
    """Turn each pair `(x[i], x[i + d/2])` of `x [..., d]` by its angle."""
    cosines, signed_sines = rotation.unbind(0)
    return x * cosines + x.roll(x.shape[-1] // 2, -1) * signed_sines
