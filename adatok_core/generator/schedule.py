"""Decoding many images: which request takes which slot of the engine, and when."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Literal, get_args

import torch

from adatok_core.config import Sampling
from adatok_core.generator.engine import Engine
from adatok_core.generator.model import Generator
from adatok_core.generator.requests import Finished, Request
from adatok_core.generator.sequences import Vocabulary

Mode = Literal["refilled", "bucketed", "padded"]

# Of how many rounds at the end of the queue the longest come first: then the slots, refilled one by
# one, fall idle at nearly the same time.
LAST_ROUNDS = 8


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step: where each sequence in flight stood, how many were not over, and its duration."""

    positions: tuple[int, ...]
    active: int
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Decoded:
    """Images in the order of their index, and what they took.

    `steps`: of the engine; `slot_steps`: sequences in flight, summed over the steps;
    `active_slot_steps`: those among them that were not over. `peak_cache_bytes`: keys and values of
    the blocks in use at the fullest step. `first_image_seconds`: until the first image was ready.
    `trace`: every step, where asked for.
    """

    finished: tuple[Finished, ...]
    steps: int
    slot_steps: int
    active_slot_steps: int
    peak_cache_bytes: int
    seconds: float
    first_image_seconds: float
    trace: tuple[Step, ...] = ()

    @property
    def unended(self) -> int:
        """Images that showed no end and were cut."""
        return sum(image.unended for image in self.finished)


def decode(
    generator: Generator,
    vocabulary: Vocabulary,
    requests: Sequence[Request],
    *,
    sampling: Sampling,
    slots: int,
    mode: Mode = "refilled",
    block: int = 32,
    device: torch.device | str = "cpu",
    trace: bool = False,
) -> Decoded:
    """Decode all `requests`, up to `slots` at once, with an engine made for them: see `run`."""
    engine = Engine(
        generator,
        vocabulary,
        sampling=sampling,
        slots=slots,
        block=block,
        device=device,
    )
    return run(engine, requests, mode=mode, trace=trace)


def run(
    engine: Engine, requests: Sequence[Request], *, mode: Mode = "refilled", trace: bool = False
) -> Decoded:
    """Decode all `requests` with an idle `engine`.

    An image depends on its request alone, neither on the mode nor on its neighbours: but for
    rounding, since products of more rows add up in another order. In bf16 that shows. `mode`:

    - `refilled`: the slot of a sequence that is over takes the next request at once. Where all
      lengths are known, the last `LAST_ROUNDS` rounds of the queue start with their longest;
    - `padded`: as many requests as there are slots run until the longest of them is over;
    - `bucketed`: sorted by length, then padded. Length tokens are drawn for all images first.

    Raises:
        ValueError: no requests, an unknown mode, lengths that are not known when they are needed,
            or a request that the engine refuses.
    """
    if not requests:
        raise ValueError("requests: there are none")
    if mode not in get_args(Mode):
        raise ValueError(f"mode: {mode} is none of {', '.join(get_args(Mode))}")
    for request in requests:
        engine.require(request)
    steps, first_image = _Steps(engine, trace=trace), 0.0
    finished: list[Finished] = []
    engine.cache.peak = 0
    began = time.perf_counter()
    if mode == "bucketed" and engine.vocabulary.lengths == "length_token":
        requests = list(_tell_lengths(engine, requests, steps))
    waiting = deque(_queue(engine, requests, mode))
    while waiting or engine.flights:
        if mode == "refilled" or not engine.flights:
            while waiting and engine.has_room:
                engine.start(waiting.popleft())
        steps.step()
        over = [flight for flight in engine.flights if flight.over]
        if mode == "refilled" or len(over) == len(engine.flights):
            for flight in over:
                finished.append(engine.result(flight))
                engine.release(flight)
        if finished and not first_image:
            first_image = time.perf_counter() - began
    return Decoded(
        finished=tuple(sorted(finished, key=lambda image: image.index)),
        steps=steps.count,
        slot_steps=steps.slot_steps,
        active_slot_steps=steps.active_slot_steps,
        peak_cache_bytes=engine.cache.peak * engine.cache.block_bytes,
        seconds=time.perf_counter() - began,
        first_image_seconds=first_image,
        trace=tuple(steps.trace),
    )


class _Steps:
    """Steps an engine and keeps count, and the steps themselves where `trace` asks for them."""

    def __init__(self, engine: Engine, *, trace: bool):
        self.engine, self.keep = engine, trace
        self.count = self.slot_steps = self.active_slot_steps = 0
        self.trace: list[Step] = []

    def step(self) -> None:
        positions = tuple(flight.position for flight in self.engine.flights)
        active = sum(not flight.over for flight in self.engine.flights)
        began = time.perf_counter()
        self.engine.step()
        seconds = time.perf_counter() - began
        self.count += 1
        self.slot_steps += len(positions)
        self.active_slot_steps += active
        if self.keep:
            self.trace.append(Step(positions=positions, active=active, seconds=seconds))


def _queue(engine: Engine, requests: Sequence[Request], mode: Mode) -> list[Request]:
    if engine.vocabulary.lengths == "fixed":
        whole = engine.vocabulary.max_length
        requests = [replace(request, length=request.length or whole) for request in requests]
    known = all(request.length for request in requests)
    by_length = attrgetter("length")
    if mode == "bucketed":
        if not known:
            raise ValueError("mode: bucketed needs lengths that are known before they are decoded")
        return sorted(requests, key=by_length)
    if mode == "refilled" and known:
        early = max(0, len(requests) - LAST_ROUNDS * engine.slots)
        return [*requests[:early], *sorted(requests[early:], key=by_length, reverse=True)]
    return list(requests)


def _tell_lengths(engine: Engine, requests: Sequence[Request], steps: _Steps) -> Iterator[Request]:
    """The requests with the lengths that their first tokens tell: a step for as many as fit."""
    for start in range(0, len(requests), engine.slots):
        for request in requests[start : start + engine.slots]:
            engine.start(request)
        steps.step()
        for flight in list(engine.flights):
            yield replace(flight.request, length=flight.total - 1)
            engine.release(flight)
