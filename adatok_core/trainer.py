"""The base of all trainings: run loop, history, divergence, and a resume exact to the bit.

Every random draw is a pure function of the seed and the step, so the state of a run is its
weights, their averages, the optimizers' moments and the step: no generator has to be saved.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from adatok_core.averages import average_pace, update_average
from adatok_core.config import GeneratorTraining, PolicyConfig, TrainingConfig
from adatok_core.parameters import decay_groups
from adatok_core.ranks import Ranks, average_gradients, mean_of_each
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
    """Trains `model` by AdamW, with a linear warm-up and a cosine; `ema` is its running average.

    On a GPU nothing is read back between two rows of the history, and the step's rates are tensors:
    its kernels are the same each time. Where there are several `Ranks` they share each batch, and
    all of them have to train.
    """

    def __init__(
        self, config: AveragedConfig, *, model: Model, betas: tuple[float, float], device: str
    ):
        self.model, self.device, self.ranks = model, device, Ranks.here()
        self.ema = copy.deepcopy(model).requires_grad_(False)
        groups = decay_groups(model, weight_decay=config.weight_decay)
        self._on_gpu = torch.device(device).type == "cuda"
        optimizer = torch.optim.AdamW(groups, betas=betas, fused=True, capturable=self._on_gpu)
        super().__init__(config, modules={"model": model, "ema": self.ema}, optimizers={})
        self.optimizers["optimizer"] = optimizer
        self._rate = torch.zeros((), device=device)
        self._pace: Tensor | float = torch.zeros((), device=device)
        # Whether all was finite since this process began, and for how many steps.
        self._sound = torch.ones((), dtype=torch.bool, device=device)
        self._sound_steps = torch.zeros((), dtype=torch.int64, device=device)
        self._began_at = 0
        self._share_rate()

    def run(self) -> Iterator[int]:
        """Train to the end, yielding the number of finished steps after each one.

        Raises `DivergedError` when what is optimized is no longer finite.
        """
        self.ranks.begin(self.modules.values(), step=self.step)
        yield from super().run()

    def _share_rate(self) -> None:
        """Let the optimizer read its rate where it is; of the settings it loads it makes copies."""
        if self._on_gpu:
            for group in self.optimizers["optimizer"].param_groups:
                group["lr"] = self._rate

    @abstractmethod
    def _draw(self) -> dict[str, Tensor]:
        """This rank's part of the step's batch and draws, on the device.

        The shapes are the same in every step.
        """

    @abstractmethod
    def _backward(self, drawn: dict[str, Tensor]) -> dict[str, Tensor]:
        """Add the gradients of what was drawn; return its losses by name, scalars.

        Their means over ranks are those of the batch.
        """

    def _train_step(self) -> None:
        config, step = self.config, self.step
        self.model.train()
        rate = learning_rate(step, config)
        self._set_learning_rate(rate)
        self._set_pace(average_pace(config.ema_decay, step=step))
        with self.ranks.stepping():
            values = self._update(self._draw())
        if self._row_is_due:
            self._require_finite()
            numbers = {name: value.item() for name, value in values.items()}
            self.history.append({"step": step + 1, **numbers, "learning_rate": rate})

    def _update(self, drawn: dict[str, Tensor]) -> dict[str, Tensor]:
        """One step of everything that moves; losses and gradient norms by name, on the device."""
        self._zero_gradients()
        losses = mean_of_each(self._backward(drawn))
        for optimizer in self.optimizers.values():
            average_gradients(one for group in optimizer.param_groups for one in group["params"])
        values = {**losses, **self._clip_gradients()}
        self._sound &= torch.stack([*values.values()]).isfinite().all()
        self._sound_steps += self._sound
        if not self._on_gpu:  # Where it costs nothing to spare the weights.
            self._require_finite(values)
        for optimizer in self.optimizers.values():
            optimizer.step()
        update_average(self.ema, self.model, pace=self._pace)
        return values

    def _require_finite(self, values: Mapping[str, Tensor] | None = None) -> None:
        if not self._sound.item():
            step = self._began_at + int(self._sound_steps) + 1
            shown = {name: value.item() for name, value in (values or {}).items()}
            raise DivergedError(
                f"loss or gradient is not finite at step {step}" + (f": {shown}" if shown else "")
            )

    def _set_learning_rate(self, rate: float) -> None:
        if self._on_gpu:
            self._rate.fill_(rate)
        else:
            super()._set_learning_rate(rate)

    def _set_pace(self, pace: float) -> None:
        if self._on_gpu and isinstance(self._pace, Tensor):
            self._pace.fill_(pace)
        else:
            self._pace = pace

    def _clip_gradients(self) -> dict[str, Tensor]:
        """Clip the gradients of what is trained, each module's to the same norm."""
        return {"gradient_norm": self._clip(self.model)}

    def _clip(self, module: nn.Module) -> Tensor:
        """Clip a module's gradients; return their norm before."""
        return nn.utils.clip_grad_norm_(module.parameters(), self.config.gradient_clip)

    def _autocast(self) -> torch.autocast:
        bf16 = self.config.precision == "bf16"
        return torch.autocast(torch.device(self.device).type, torch.bfloat16, enabled=bf16)

    def state(self) -> TrainingState:
        """A copy of all that `load_state` needs; raises `DivergedError` if it is not finite."""
        self._require_finite()
        return super().state()

    def load_state(self, state: TrainingState) -> None:
        """Go on from `state`; raises `RuntimeError` when it belongs to another shape of model."""
        super().load_state(state)
        self._began_at = self.step
        self._sound.fill_(True)
        self._sound_steps.zero_()
        self._share_rate()
