"""The throughput stage: the speed of generation with adaptive lengths against all tokens.

For each batch size and guidance every round has, side by side: sequences of all tokens in step,
which are the fixed arm and tell what a step costs at each position; and each mode on the adaptive
lengths. Every other round goes backwards, so that what else the machine does meets all of them.
"""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import torch

from adatok_core.build import build_tokenizer
from adatok_core.config import TokenizerConfig
from adatok_core.generator.engine import Engine
from adatok_core.generator.model import Generator
from adatok_core.generator.requests import Request
from adatok_core.generator.schedule import Decoded, Mode
from adatok_core.generator.schedule import run as decode_all
from adatok_core.generator.sequences import Vocabulary
from adatok_core.protocols import Tokenizer
from adatok_core.tokenizer import parameter_count
from bench.artifacts.networks import build_generator, load_generator, load_tokenizer
from bench.config.generation import ThroughputConfig
from bench.config.length_distributions import ModelLengths, PolicyLengths, draw_lengths, shares_of
from bench.config.settings import parse
from bench.memory import keep_freed_memory
from bench.speed.decode_rows import Arms, Beside, Timed, together
from bench.speed.decode_timing import PeakMemory, cost_by_position, ideal_seconds
from bench.speed.image_seeds import image_seed
from bench.speed.pixel_timing import pixel_seconds
from bench.store.stage import StageContext

# What random weights' shape is taken from; the rest of the config are the throughput's settings.
SHAPE = ("tokenizer", "resolution")


def run(context: StageContext) -> dict[str, Any]:
    """Measure all that the configuration asks for.

    On a CPU the warm-up is one batch of all tokens, which touches all memory of the cache. On a
    GPU, where every shape of a step is made ready at its first use, it is a whole round.
    `load_average` is the machine's over a minute, before and after: above the threads of this
    stage, something else took its share.
    """
    keep_freed_memory()
    load_before = os.getloadavg()[0]
    raw = {key: value for key, value in context.spec.config.items() if key not in SHAPE}
    asked = parse(ThroughputConfig, raw, where="throughput")
    subject = _subject(context, asked)
    requests = _requests(context, asked, subject)
    rows, costs, lengths = [], [], np.empty(0)
    settings = list(itertools.product(asked.batches, asked.guidance))
    for done, (batch, guidance) in enumerate(settings):
        context.progress(done, len(settings), f"settings, batch {batch}, guidance {guidance:g}")
        measuring = _Measuring(subject, asked, batch, guidance, context.spec.resources.device)
        arms, cost, lengths = measuring.measure(requests)
        place = {"batch": batch, "guidance": guidance != 1, "guidance_scale": guidance}
        costs += [place | {"position": p, "seconds": float(s)} for p, s in enumerate(cost)]
        for pixels in (False, True) if asked.pixels else (False,):
            rows += [place | row for row in arms.rows(pixels=pixels)]
    device = context.spec.resources.device
    return {
        "metrics": _metrics(rows) | {"mean_tokens": float(lengths.mean())},
        "curve": [],
        "controls": {},
        "throughput": {
            "weights": subject.weights,
            "device": torch.cuda.get_device_name() if device == "cuda" else "cpu",
            "threads": torch.get_num_threads(),
            "load_average": [load_before, os.getloadavg()[0]],
            "precision": asked.precision,
            "parameters": parameter_count(subject.generator),
            "vocabulary_size": subject.vocabulary.size,
            "repeats": asked.repeats,
            "rows": rows,
            "cost_by_position": costs,
            "lengths": {
                "kind": asked.lengths.kind,
                "fixed": subject.largest,
                "mean": float(lengths.mean()),
                "shares": shares_of(lengths),
                "token_ratio": subject.largest / float(lengths.mean()),
            },
        },
    }


@dataclass(frozen=True)
class _Subject:
    """The subject of the measurement: a generator, and the tokenizer whose pixels follow."""

    generator: Generator
    vocabulary: Vocabulary
    tokenizer: Tokenizer
    weights: str

    @property
    def largest(self) -> int:
        """Tokens of the fixed arm."""
        return self.vocabulary.max_length


def _subject(context: StageContext, asked: ThroughputConfig) -> _Subject:
    device, inputs = context.spec.resources.device, context.inputs
    if "tokenizer" in inputs:
        tokenizer: Tokenizer = load_tokenizer(inputs["tokenizer"], device=device)
    else:
        config = parse(TokenizerConfig, context.spec.config["tokenizer"], where="tokenizer")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(asked.seed)
            untrained = build_tokenizer(config, image_size=context.spec.config["resolution"])
        tokenizer = untrained.to(device).eval()
    if "generator" in inputs:
        trained = load_generator(inputs["generator"], device=device)
        return _Subject(trained.generator, trained.vocabulary, tokenizer, "trained")
    vocabulary = Vocabulary(
        codes=math.prod(tokenizer.code_sizes),
        budgets=(tokenizer.max_tokens,),
        classes=asked.classes,
    )
    if asked.generator is None:
        raise ValueError("generator: random weights need its shape")
    generator = build_generator(asked.generator, vocabulary, seed=asked.seed).eval()
    return _Subject(generator, vocabulary, tokenizer, "random")


def _requests(context: StageContext, asked: ThroughputConfig, subject: _Subject) -> list[Request]:
    """One request per image, its length known unless the model decides."""
    if isinstance(asked.lengths, ModelLengths):
        lengths = [None] * asked.images
    else:
        if isinstance(asked.lengths, PolicyLengths):
            table = pd.read_parquet(context.inputs["evaluation"] / "images.parquet")
            shares = shares_of(table["budget"].to_numpy())
        else:
            shares = asked.lengths.shares()
        lengths = draw_lengths(shares, asked.images, seed=asked.seed).tolist()
    conditional = subject.generator.config.class_conditional
    labels = np.random.default_rng(asked.seed).integers(
        subject.vocabulary.classes if conditional else 1, size=asked.images
    )
    return [
        Request(
            index=index,
            label=int(labels[index]) if conditional else None,
            seed=image_seed(asked.seed, index),
            length=length,
        )
        for index, length in enumerate(lengths)
    ]


class _Measuring:
    """Rounds of one batch size and guidance."""

    def __init__(
        self,
        subject: _Subject,
        asked: ThroughputConfig,
        batch: int,
        guidance: float,
        device: str,
    ):
        self.subject, self.asked, self.batch, self.device = subject, asked, batch, device
        self.engine = Engine(
            subject.generator,
            subject.vocabulary,
            sampling=replace(asked.sampling, guidance=guidance),
            slots=batch,
            precision=asked.precision,
            device=device,
        )

    def measure(self, requests: Sequence[Request]) -> tuple[Arms, np.ndarray, np.ndarray]:
        """All arms; seconds of a step by position, median over rounds; the adaptive lengths.

        Every mode decodes the same images, so their pixels are timed once a round.
        """
        asked, full = self.asked, self._full(requests)
        self._warm_up(full, requests)
        arms, costs = Arms(), []
        for number in range(asked.repeats):
            fixed, modes = self._round(full, requests, backwards=number % 2 == 1)
            decoded = modes[asked.modes[0]][1]
            pixels = self._pixels(fixed[0][1]), self._pixels(decoded)
            costs.append(_cost(fixed))
            arms.whole.append(self._beside(fixed, decoded, pixels))
            for (mode, (timed, _)), *around in zip(modes.items(), fixed, fixed[1:], strict=False):
                arms.modes.setdefault(mode, []).append(replace(timed, **pixels[1]))
                arms.beside.setdefault(mode, []).append(self._beside(around, decoded, pixels))
        lengths = np.array([image.length for image in decoded.finished])
        return arms, np.median(costs, axis=0), lengths

    def _beside(
        self,
        fixed: Sequence[tuple[Timed, Decoded]],
        adaptive: Decoded,
        pixels: tuple[dict[str, Any], dict[str, Any]],
    ) -> Beside:
        """Runs of the fixed arm as one, and the `adaptive` images at their cost of a step."""
        steps = [image.steps for image in adaptive.finished]
        return Beside(
            fixed=replace(together([timed for timed, _ in fixed]), **pixels[0]),
            ideal=Timed(
                images=len(adaptive.finished),
                tokens=_tokens(adaptive),
                seconds=ideal_seconds(_cost(fixed), steps, slots=self.batch),
                pixel_seconds=pixels[1]["pixel_seconds"],
            ),
        )

    def _round(
        self, full: Sequence[Request], requests: Sequence[Request], *, backwards: bool
    ) -> tuple[list[tuple[Timed, Decoded]], dict[Mode, tuple[Timed, Decoded]]]:
        """Every mode once, and the fixed arm before and behind each."""
        fixed = [self._timed(full, "padded", trace=True)]
        modes: dict[Mode, tuple[Timed, Decoded]] = {}
        for mode in self.asked.modes[::-1] if backwards else self.asked.modes:
            modes[mode] = self._timed(requests, mode)
            fixed.append(self._timed(full, "padded", trace=True))
        return fixed, modes

    def _full(self, requests: Sequence[Request]) -> list[Request]:
        """Whole batches of all tokens; a round's together are about the work of one mode."""
        largest = self.subject.largest
        tokens = sum(one.length or largest for one in requests) / (1 + len(self.asked.modes))
        count = self.batch * max(1, round(tokens / (largest * self.batch)))
        cycle = itertools.cycle(requests)
        return [replace(next(cycle), index=index, length=largest) for index in range(count)]

    def _warm_up(self, full: Sequence[Request], requests: Sequence[Request]) -> None:
        if self.device != "cuda":
            self._pixels(self._timed(full[: self.batch], "padded")[1])
            return
        self._pixels(self._timed(full, "padded")[1])
        for mode in self.asked.modes:
            self._pixels(self._timed(requests, mode)[1])

    def _timed(
        self, requests: Sequence[Request], mode: Mode, *, trace: bool = False
    ) -> tuple[Timed, Decoded]:
        memory = PeakMemory.begin(self.device)
        decoded = decode_all(self.engine, requests, mode=mode, trace=trace)
        timed = Timed(
            images=len(decoded.finished),
            tokens=_tokens(decoded),
            seconds=decoded.seconds,
            first_image_seconds=decoded.first_image_seconds,
            peak_memory_bytes=memory.read(),
            occupancy=decoded.active_slot_steps / (decoded.steps * self.batch),
        )
        return timed, decoded

    def _pixels(self, decoded: Decoded) -> dict[str, Any]:
        """Seconds of the pixels of all images, and their peak memory; nothing if not asked for."""
        if not self.asked.pixels:
            return {"pixel_seconds": 0.0}
        memory = PeakMemory.begin(self.device)
        seconds = pixel_seconds(
            self.subject.tokenizer, decoded.finished, batch=self.batch, device=self.device
        )
        return {"pixel_seconds": seconds, "pixel_peak_memory_bytes": memory.read()}


def _cost(fixed: Sequence[tuple[Timed, Decoded]]) -> np.ndarray:
    """Seconds `[P]` of a step at each position, the mean of these runs."""
    costs = np.array([cost_by_position(decoded) for _, decoded in fixed])
    mean: np.ndarray = costs.mean(axis=0)
    return mean


def _tokens(decoded: Decoded) -> int:
    return sum(image.length for image in decoded.finished)


def _metrics(rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    """The rows' main numbers under names that say which row they are of."""
    metrics = {}
    for row in rows:
        place = f"{row['arm'] if row['arm'] == 'fixed' else row['mode']}/batch_{row['batch']}"
        if row["guidance"]:
            place += f"/guidance_{row['guidance_scale']:g}"
        place += "/pixels" * row["pixels"]
        metrics[f"images_per_second/{place}"] = row["images_per_second"]["median"]
        if row["arm"] == "adaptive":
            metrics[f"ratio/{place}"] = row["ratio"]
            metrics[f"of_ideal/{place}"] = row["of_ideal"]
    return metrics
