"""The base of all trainings: run loop, history, divergence, and a resume exact to the bit.

Every random draw is a pure function of the seed and the step, so the state of a run is its
weights, their averages, the optimizers' moments and the step: no generator has to be saved.
"""

from __future__ import annotations

import copy
import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Generic, TypeVar

import torch
from torch import nn
from torch.optim import Optimizer

from adatok_core.averages import update_average
from adatok_core.config import GeneratorTraining, PolicyConfig, TrainingConfig
from adatok_core.parameters import decay_groups
from adatok_core.schedule import learning_rate
from adatok_core.training_state import DivergedError, TrainingState, pack, unpack

Config = TypeVar("Config", bound=TrainingConfig | GeneratorTraining | PolicyConfig)
AveragedConfig = TypeVar("AveragedConfig", bound=TrainingConfig | GeneratorTraining)
Model = TypeVar("Model", bound=nn.Module)


class Trainer(ABC, Generic[Config]):
    """A training of `config.steps` steps, of which `step` are finished.

    `history` has a row for every `config.log_every`th step and for the last.
    """

    def __init__(
        self,
        config: Config,
        *,
        modules: dict[str, nn.Module],
        optimizers: dict[str, Optimizer],
    ):
        self.config, self.modules, self.optimizers = config, modules, optimizers
        self.step = 0
        self.history: list[dict[str, float]] = []

    def run(self) -> Iterator[int]:
        """Train to the end, yielding the number of finished steps after each one.

        Raises `DivergedError` when what is optimized is no longer finite.
        """
        while self.step < self.config.steps:
            self._train_step()
            self.step += 1
            yield self.step

    @abstractmethod
    def _train_step(self) -> None:
        """Train one step, `step` others being finished; leave a row in the history if it is due."""

    @property
    def _row_is_due(self) -> bool:
        number = self.step + 1
        return number % self.config.log_every == 0 or number == self.config.steps

    def _zero_gradients(self) -> None:
        for optimizer in self.optimizers.values():
            optimizer.zero_grad(set_to_none=True)

    def _set_learning_rate(self, rate: float) -> None:
        for group in self.optimizers["optimizer"].param_groups:
            group["lr"] = rate

    def state(self) -> TrainingState:
        """A copy, on the CPU, of all `load_state` needs to go on as if nothing had happened."""
        tensors = pack({**self.modules, **self.optimizers})
        return TrainingState(tensors, self.step, list(self.history))

    def load_state(self, state: TrainingState) -> None:
        """Go on from `state`; raises `RuntimeError` when it belongs to another shape of model."""
        unpack({**self.modules, **self.optimizers}, state.tensors)
        self.step, self.history = state.step, list(state.history)


class AveragedTrainer(Trainer[AveragedConfig], Generic[Model, AveragedConfig]):
    """Trains `model` by AdamW, with a linear warm-up and a cosine; `ema` is its running average."""

    def __init__(
        self, config: AveragedConfig, *, model: Model, betas: tuple[float, float], device: str
    ):
        self.model, self.device = model, device
        self.ema = copy.deepcopy(model).requires_grad_(False)
        groups = decay_groups(model, weight_decay=config.weight_decay)
        super().__init__(
            config,
            modules={"model": self.model, "ema": self.ema},
            optimizers={"optimizer": torch.optim.AdamW(groups, betas=betas, fused=True)},
        )

    @abstractmethod
    def _backward(self) -> dict[str, float]:
        """Add the gradients of the step's batch; return its losses by name."""

    def _train_step(self) -> None:
        config, step = self.config, self.step
        self.model.train()
        self._zero_gradients()
        row = {"step": step + 1, **self._backward(), **self._clip_gradients()}
        row["learning_rate"] = learning_rate(step, config)
        if not all(map(math.isfinite, row.values())):
            raise DivergedError(f"loss or gradient is not finite at step {step + 1}: {row}")
        self._set_learning_rate(row["learning_rate"])
        for optimizer in self.optimizers.values():
            optimizer.step()
        update_average(self.ema, self.model, decay=config.ema_decay, step=step)
        if self._row_is_due:
            self.history.append(row)

    def _clip_gradients(self) -> dict[str, float]:
        """Clip the gradients of what is trained, each module's to the same norm."""
        return {"gradient_norm": self._clip(self.model)}

    def _clip(self, module: nn.Module) -> float:
        """Clip a module's gradients; return their norm before."""
        return nn.utils.clip_grad_norm_(module.parameters(), self.config.gradient_clip).item()

    def _autocast(self) -> torch.autocast:
        bf16 = self.config.precision == "bf16"
        return torch.autocast(torch.device(self.device).type, torch.bfloat16, enabled=bf16)
