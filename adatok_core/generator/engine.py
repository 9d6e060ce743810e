"""The decoding engine: sequences in flight, each at its own position, one step at a time.

Letters: `S` sequences in flight, `G` rows of each (2 with guidance: its class, the null class),
`V` tokens.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor

from adatok_core.config import Sampling
from adatok_core.config.generator import require_guidance
from adatok_core.generator.cache import BlockCache, Window, attend_blocks
from adatok_core.generator.model import Generator
from adatok_core.generator.requests import Finished, Request
from adatok_core.generator.sampling import choose, guided, uniforms
from adatok_core.generator.sequences import Vocabulary
from adatok_core.generator.weights import DTYPES, prepared
from adatok_core.onednn import Precision


@dataclass(kw_only=True, eq=False)
class Flight:
    """A sequence in flight.

    `begins`: what its rows enter at position 0, `[G]`; `draws`: the numbers of its steps;
    `position`: that of its next prediction, of `total` in all.
    """

    request: Request
    slot: int
    begins: list[int]
    total: int
    draws: list[float]
    tokens: list[int] = field(default_factory=list)
    position: int = 0

    @property
    def entries(self) -> list[int]:
        """Entries of its rows at its position, `[G]`."""
        return [self.tokens[-1]] * len(self.begins) if self.tokens else self.begins

    @property
    def over(self) -> bool:
        """Whether all its predictions are made."""
        return self.position >= self.total


class Engine:
    """Decodes up to `slots` sequences at once. `start` them, `step` all, `release` any.

    `precision`: of weights, activations and cache, copies of the generator's; `block`: positions by
    which a sequence's share of the cache grows.

    Raises:
        ValueError: guidance without a null class, a generator that does not fit the vocabulary, no
            slots, or empty blocks; from a step: predictions that are not numbers.
    """

    def __init__(
        self,
        generator: Generator,
        vocabulary: Vocabulary,
        *,
        sampling: Sampling,
        slots: int,
        precision: Precision = "fp32",
        block: int = 32,
        device: torch.device | str = "cpu",
    ):
        config = generator.config
        require_guidance(config, sampling.guidance)
        for key, value in (("slots", slots), ("block", block)):
            if value < 1:
                raise ValueError(f"{key}: {value} must be 1 or more")
        _require_fit(generator, vocabulary)
        self.device = torch.device(device)
        self.generator = prepared(generator, precision=precision, device=self.device)
        self.vocabulary = vocabulary
        self.slots = slots
        self.sampling = sampling
        self.guided = sampling.guidance != 1
        self.cache = BlockCache(
            depth=config.depth,
            slots=slots,
            heads=config.attention_heads * (1 + self.guided),
            head_width=config.width // config.attention_heads,
            positions=vocabulary.max_steps,
            block=block,
            dtype=DTYPES[precision],
            device=self.device,
        )
        self.flights: list[Flight] = []
        self._free = list(reversed(range(slots)))

    @property
    def has_room(self) -> bool:
        """Whether a slot is free."""
        return bool(self._free)

    def require(self, request: Request) -> None:
        """Raise `ValueError` when `request` asks for what no image has."""
        conditional = self.generator.config.class_conditional
        self.vocabulary.require_label(request.label, class_conditional=conditional)
        self.vocabulary.steps_of(request.length)

    def start(self, request: Request) -> None:
        """Put `request` into a free slot."""
        null = self.generator.classes
        labels = [null if request.label is None else request.label, *[null] * self.guided]
        flight = Flight(
            request=request,
            slot=self._free.pop(),
            begins=[self.vocabulary.size + label for label in labels],
            total=self.vocabulary.steps_of(request.length),
            draws=uniforms(request.seed, self.vocabulary.max_steps).tolist(),
        )
        self.flights.append(flight)

    @torch.inference_mode()
    def step(self) -> None:
        """Predict the next token of every sequence in flight; those that are over run on."""
        flights = self.flights
        rows = torch.tensor([flight.entries for flight in flights])
        positions = torch.tensor([flight.position for flight in flights])
        window = self.cache.window([flight.slot for flight in flights], positions.tolist())
        logits = self.logits(rows.to(self.device), positions.to(self.device), window)
        tokens = self.draw(logits, positions)
        totals = torch.tensor([flight.total for flight in flights])
        totals = self.vocabulary.steps_after(tokens, steps=positions, total=totals)
        for flight, token, total in zip(flights, tokens.tolist(), totals.tolist(), strict=True):
            flight.total = flight.total if flight.over else total
            flight.tokens.append(token)
            flight.position += 1

    def logits(self, rows: Tensor, positions: Tensor, window: Window) -> Tensor:
        """Logits `[S, G, V]` of entries `rows [S, G]` at `positions [S]`: tensors in, tensors out.

        Few shapes occur: those of the window, and of `S` while the last sequences end.
        """

        def attend(
            layer: tuple[Tensor, Tensor], queries: Tensor, keys: Tensor, values: Tensor
        ) -> Tensor:
            q, k, v = (x.flatten(1, 2) for x in (queries, keys, values))
            return attend_blocks(q, k, v, layer=layer, window=window).view_as(queries)

        attends = [partial(attend, layer) for layer in self.cache.layers]
        return self.generator.predict(rows, positions[:, None], attends)

    def draw(self, logits: Tensor, positions: Tensor) -> Tensor:
        """The next tokens `[S]` from `logits [S, G, V]`, each at its sequence's own number."""
        conditional = logits[:, 0]
        if self.guided:
            conditional = guided(conditional, logits[:, 1], self.sampling.guidance)
        draws = [flight.draws[flight.position] for flight in self.flights]
        wanted = torch.tensor([flight.request.length or 0 for flight in self.flights])
        tokens = choose(
            conditional,
            torch.tensor(draws, dtype=torch.float64),
            sampling=self.sampling,
            allowed=self.vocabulary.allowed(positions.to(self.device), wanted.to(self.device)),
        ).cpu()
        if tokens.min() < 0:
            raise ValueError("generator: its logits are not numbers, nothing can be drawn")
        return tokens

    def release(self, flight: Flight) -> None:
        """Free the slot of `flight`."""
        self.flights.remove(flight)
        self.cache.release(flight.slot)
        self._free.append(flight.slot)

    def result(self, flight: Flight) -> Finished:
        """The image of `flight`, which is over."""
        tokens = torch.tensor(flight.tokens[: flight.total])
        parsed = self.vocabulary.parse(tokens, length=flight.request.length)
        return Finished(
            index=flight.request.index,
            ids=parsed.ids.numpy(),
            unended=parsed.unended,
            steps=flight.total,
        )


def _require_fit(generator: Generator, vocabulary: Vocabulary) -> None:
    if generator.vocabulary_size != vocabulary.size:
        raise ValueError(
            f"generator: predicts {generator.vocabulary_size} tokens, the vocabulary has "
            f"{vocabulary.size}"
        )
    if generator.config.class_conditional and generator.classes != vocabulary.classes:
        raise ValueError(
            f"generator: knows {generator.classes} classes, the vocabulary {vocabulary.classes}"
        )
    if generator.max_steps < vocabulary.max_steps:
        raise ValueError(
            f"generator: has {generator.max_steps} positions, the longest image takes "
            f"{vocabulary.max_steps}"
        )
