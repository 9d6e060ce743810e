"""An early end of a tokenizer's training: judged on validation images at its rungs.

Nothing of it enters the training: one that goes on is the same to the bit as one never judged.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from adatok_core.tokenizer import ElasticTokenizer, to_float, to_uint8
from adatok_core.training import TokenizerTrainer
from adatok_core.training_state import DivergedError
from bench.config.search import StopEarly
from bench.config.settings import parse
from bench.data.image_set import read_pixels
from bench.metrics.declared import METRICS
from bench.search.halving import Halving
from bench.store.integrity import verified
from bench.store.stage import StageContext
from bench.store.stopping import StoppedEarly
from bench.store.store import Store

# Enough to tell trainings apart, and decoded in a moment.
IMAGES = 256


@dataclass
class EarlyEnd:
    """Judges a training whose stage has a rule for that; does nothing where it has none.

    Raises:
        DamagedError: the validation images are not as they were written.
    """

    context: StageContext
    trainer: TokenizerTrainer
    _rungs: tuple[int, ...] = field(default=(), init=False)

    def __post_init__(self) -> None:
        given = self.context.spec.runtime.get("stop_early")
        if given is None:
            return
        store = Store(self.context.work.parents[1])
        self._rule = parse(StopEarly, given["rule"], where="stop_early")
        self._halving = Halving(store, given["name"])
        self._images: Path = verified(store.artifact(*given["images"]))
        self._rungs = self._rule.rungs(self.trainer.config.steps)

    def at(self, step: int, keep: Callable[[], None]) -> None:
        """Judge the training, where a rung is at this step; `keep` leaves a checkpoint.

        Raises:
            StoppedEarly: it does not go on; it has left a checkpoint.
        """
        if step not in self._rungs:
            return
        name, steps = self._rule.metric, self.trainer.config.steps
        judged = self._halving.judge(
            self.context.spec.key,
            step,
            self._measure,
            reduction=self._rule.reduction,
            higher_is_better=bool(METRICS[name].higher_is_better),
            keep=keep,
        )
        if not judged.goes_on:
            raise StoppedEarly(f"at step {step} of {steps}, with {name} {judged.value:.4g}")

    def _measure(self) -> float:
        name, step = self._rule.metric, self.trainer.step
        pixels = read_pixels(self._images)
        places = np.linspace(0, len(pixels) - 1, min(len(pixels), IMAGES)).astype(int)
        value = validation_value(
            self.trainer.ema,
            torch.from_numpy(pixels[places]),
            metric=name,
            batch=self.trainer.config.batch,
            device=self.trainer.device,
        )
        if not math.isfinite(value):
            raise DivergedError(f"{name} of validation images is not finite at step {step}")
        return value


@torch.no_grad()
def validation_value(
    model: ElasticTokenizer, pixels: Tensor, *, metric: str, batch: int, device: str
) -> float:
    """The mean of a metric over images uint8 `[n, 3, H, W]` and the model's budgets.

    The model is left as it was.
    """
    measure, trains = METRICS[metric].load_measure(), model.training
    model.eval()
    found = []
    try:
        for part in pixels.split(batch):
            original = part.to(device)
            images = to_float(original)
            ids, _ = model.encode(images)
            for budget in model.budgets:
                kept = torch.full((len(images),), budget, device=original.device)
                own = ids if model.nested else model.encode(images, budget)[0]
                decoded = to_uint8(model.decode(own, kept))
                found.append(measure(original, decoded).double().cpu())
    finally:
        model.train(trains)
    return float(torch.cat(found).mean())
