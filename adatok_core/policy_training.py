"""Training of the budget policy from tables of rewards: no image is decoded.

Every random draw is a pure function of the seed and the step, so a run resumes bit for bit.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from adatok_core.batches import batch_indices, step_generator
from adatok_core.config import KL, ConstraintWeighting, PolicyConfig
from adatok_core.objectives import (
    Batch,
    PolicyGradient,
    Predictor,
    build_objective,
    entropy,
    uniform_log_policy,
)
from adatok_core.policy import BudgetPolicy
from adatok_core.price import overspending, price_for
from adatok_core.rewards import RewardTable
from adatok_core.training_state import DivergedError, TrainingState, pack, unpack
from adatok_core.weighting import StepView, build_weighting

MONITOR_IMAGES = 1024
CALIBRATION_IMAGES = 8192

LoadFeatures = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class CalibrationSet:
    """Images on which a constraint must hold: features by row, fidelities `[k, M]`.

    The fidelities matter to a constraint on quality alone.
    """

    load: LoadFeatures
    fidelity: Tensor


def build_policy(
    config: PolicyConfig, *, length: int, width: int, outputs: int | None = None
) -> BudgetPolicy:
    """An untrained policy for features `[B, length, width]`; its weights depend on the seed alone.

    `outputs` overrides the number of candidates: a critic has one.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        return BudgetPolicy(
            length=length,
            width=width,
            candidates=outputs or len(config.candidates),
            pooling_queries=config.pooling_queries,
            hidden=config.hidden,
            embed=config.input != "latents",
        )


class PolicyTrainer:
    """Trains a policy on images whose features `load(indices [b]) -> [b, T, d]` gives.

    `rewards` and the distortion `mse [n, M]`, which is only logged, cover the same `n` images at
    the candidate budgets. The first `MONITOR_IMAGES` are the ones on which the policy's arg-max is
    watched. Adam with a linear decay to zero.
    """

    def __init__(
        self,
        config: PolicyConfig,
        *,
        load: LoadFeatures,
        length: int,
        width: int,
        rewards: RewardTable,
        mse: Tensor,
    ):
        if len(rewards.fidelity) != len(mse):
            raise ValueError(
                f"rewards of {len(rewards.fidelity)} images, distortions of {len(mse)}"
            )
        if config.batch > len(mse):
            raise ValueError(f"batch: {config.batch} exceeds the {len(mse)} images")
        self.config, self.load, self.rewards, self.mse = config, load, rewards, mse
        self.budgets = torch.tensor(config.candidates, dtype=torch.float32)
        self.policy = build_policy(config, length=length, width=width)
        self.objective = build_objective(config.objective)
        self.weighting = build_weighting(config.weighting, config.candidates)
        self.modules: dict[str, nn.Module] = {"policy": self.policy}
        if self._baseline_kind == "critic":
            self.modules["critic"] = build_policy(config, length=length, width=width, outputs=1)
        if self._kl.reference == "snapshot":
            self.modules["reference"] = copy.deepcopy(self.policy).requires_grad_(False)
        trained = [p for module in self.modules.values() for p in module.parameters()]
        self.optimizer = torch.optim.AdamW(
            [p for p in trained if p.requires_grad], weight_decay=config.weight_decay, fused=True
        )
        self.reward_mean = torch.zeros((), dtype=torch.float64)
        self.step = 0
        self.history: list[dict[str, float]] = []

    @property
    def _kl(self) -> KL:
        return getattr(self.config.objective, "kl", KL())

    @property
    def _baseline_kind(self) -> str | None:
        return getattr(self.objective, "baseline", None)

    def run(self) -> Iterator[int]:
        """Train to the end, yielding the number of finished steps after each one.

        Raises `DivergedError` when the objective is no longer finite.
        """
        if self.step == 0:
            self.weighting.begin(self.point())
        while self.step < self.config.steps:
            self._train_step()
            yield self.step

    def _train_step(self) -> None:
        config, step = self.config, self.step
        for group in self.optimizer.param_groups:
            group["lr"] = config.learning_rate * (1 - step / config.steps)
        images = batch_indices(step, count=len(self.mse), batch=config.batch, seed=config.seed)
        features = self.load(images).float()
        fidelity, weights = self.rewards.fidelity[images], self.weighting.weights
        if isinstance(self.objective, Predictor):
            goal, chances = self._regress(self.objective, features, fidelity, weights)
        else:
            rewards = self.rewards.scalar(images, weights)
            goal, chances = self._improve(self.objective, features, rewards)
        self.step += 1
        self.weighting.update(
            StepView(
                step=self.step,
                policy=chances,
                fidelity=fidelity,
                gradients=lambda: self._gradients(features, fidelity),
                point=self.point,
            )
        )
        if self.step % config.log_every == 0 or self.step == config.steps:
            self._log(goal, chances, weights, features)
        if self._kl.reference == "snapshot" and self.step % self._kl.refresh_every == 0:
            self.modules["reference"].load_state_dict(self.policy.state_dict())

    def _regress(
        self, objective: Predictor, features: Tensor, fidelity: Tensor, weights: Tensor
    ) -> tuple[float, Tensor]:
        """One step of regression; the choice under `weights` as one-hot chances `[b, M]`."""
        predicted = self.policy(features)
        loss = objective.loss(predicted, fidelity)
        self._ascend(-loss)
        scores = weights[0] * predicted.detach() + weights[1] * self.rewards.efficiency
        one_hot = nn.functional.one_hot(scores.argmax(-1), len(self.budgets)).float()
        return -loss.item(), one_hot

    def _improve(
        self, objective: PolicyGradient, features: Tensor, rewards: Tensor
    ) -> tuple[float, Tensor]:
        """The updates on one batch; the chances `[b, M]` before them."""
        settings = objective.settings
        with torch.no_grad():
            old = self.policy(features).log_softmax(-1)
        self._require_finite(old)
        actions = objective.draw(old, self._generator(self.step))
        batch = Batch(
            rewards=rewards,
            old_log_policy=old,
            reference_log_policy=self._reference(features, old),
            actions=actions,
            baseline=self._baseline(features),
        )
        drawn = rewards if actions is None else rewards.gather(-1, actions)
        for _ in range(getattr(settings, "updates_per_batch", 1)):
            goal = objective.goal(
                self.policy(features).log_softmax(-1),
                batch,
                progress=self.step / max(1, self.config.steps - 1),
                advantage_scale=self.weighting.advantage_scale,
            )
            if self._baseline_kind == "critic":
                value = self.modules["critic"](features).squeeze(-1)
                error = (value - drawn.mean(-1)).square().mean()
                self._ascend(goal - settings.value_weight * error)
            else:
                self._ascend(goal)
        if self._baseline_kind == "running_mean":
            mean = drawn.mean().double()
            self.reward_mean = torch.lerp(mean, self.reward_mean, settings.baseline_decay)
        return goal.item(), old.exp()

    def _ascend(self, goal: Tensor) -> None:
        self._require_finite(goal)
        self.optimizer.zero_grad(set_to_none=True)
        (-goal).backward()
        self.optimizer.step()

    def _require_finite(self, value: Tensor) -> None:
        if not torch.isfinite(value).all():
            raise DivergedError(f"the policy's objective is not finite at step {self.step + 1}")

    def _generator(self, step: int) -> torch.Generator:
        """The generator of all draws of a step."""
        return step_generator(self.config.seed, step)

    @torch.no_grad()
    def _reference(self, features: Tensor, log_policy: Tensor) -> Tensor:
        if self._kl.reference == "uniform":
            return uniform_log_policy(log_policy)
        return self.modules["reference"](features).log_softmax(-1)

    @torch.no_grad()
    def _baseline(self, features: Tensor) -> Tensor | None:
        if self._baseline_kind == "critic":
            return self.modules["critic"](features).squeeze(-1)
        if self._baseline_kind == "running_mean":
            return self.reward_mean.float()
        return None

    def _gradients(self, features: Tensor, fidelity: Tensor) -> Tensor:
        """Policy gradients `[2, P]` of fidelity and of efficiency alone, without penalties.

        Taken after the step, with the step's own draws.
        """
        objective = self.objective
        if isinstance(objective, Predictor):
            raise ValueError(f"{self.config.objective.kind}: the objective has no policy gradient")
        log_policy = self.policy(features).log_softmax(-1)
        actions = objective.draw(log_policy.detach(), self._generator(self.step - 1))
        rows = []
        for rewards in (fidelity, self.rewards.efficiency.expand_as(fidelity)):
            batch = Batch(
                rewards=rewards,
                old_log_policy=log_policy.detach(),
                reference_log_policy=uniform_log_policy(log_policy),
                actions=actions,
                baseline=None if actions is None else rewards.mean(-1),
            )
            goal = objective.goal(log_policy, batch, progress=0.0, penalised=False)
            grads = torch.autograd.grad(goal, list(self.policy.parameters()), retain_graph=True)
            rows.append(torch.cat([g.flatten() for g in grads]))
        return torch.stack(rows)

    @torch.no_grad()
    def _watched(self) -> tuple[Tensor, Tensor]:
        """Row and arg-max column of the monitoring images."""
        rows = torch.arange(min(MONITOR_IMAGES, len(self.mse)))
        return rows, self._scores(rows).argmax(-1)

    def _scores(self, images: Tensor) -> Tensor:
        """Scores `[b, M]`, of which the arg-max is taken."""
        scores = self.policy(self.load(images).float())
        if isinstance(self.objective, Predictor):
            weights = self.weighting.weights
            scores = weights[0] * scores + weights[1] * self.rewards.efficiency
        return scores

    @torch.no_grad()
    def point(self) -> tuple[float, float]:
        """Mean fidelity and efficiency under the policy's probabilities, on the monitoring images.

        Not of the arg-max, which for an untrained policy is one budget, and that by chance.
        """
        rows = torch.arange(min(MONITOR_IMAGES, len(self.mse)))
        chances = self._scores(rows).softmax(-1)
        fidelity = (chances * self.rewards.fidelity[rows]).sum(-1).mean().item()
        return fidelity, (chances @ self.rewards.efficiency).mean().item()

    def _log(self, goal: float, chances: Tensor, weights: Tensor, features: Tensor) -> None:
        if isinstance(self.objective, Predictor):
            uncertainty, divergence = 0.0, 0.0
        else:
            # A chance may underflow to 0, whose share of either sum is 0, not NaN.
            log_policy = chances.clamp(min=torch.finfo(chances.dtype).tiny).log()
            reference = self._reference(features, log_policy)
            uncertainty = entropy(log_policy).mean().item()
            divergence = (chances * (log_policy - reference)).sum(-1).mean().item()
        shares = torch.bincount(chances.argmax(-1), minlength=len(self.budgets)) / len(chances)
        rows, columns = self._watched()
        self.history.append(
            {
                "step": self.step,
                "objective": goal,
                "mean_budget": (chances @ self.budgets).mean().item(),
                "entropy": uncertainty,
                "kl_to_reference": divergence,
                "weight_fidelity": weights[0].item(),
                "weight_efficiency": weights[1].item(),
                "advantage_scale": self.weighting.advantage_scale,
                "monitor_tokens": self.budgets[columns].mean().item(),
                "monitor_mse": self.mse[rows, columns].mean().item(),
                **{
                    f"share_{budget}": share.item()
                    for budget, share in zip(self.config.candidates, shares, strict=True)
                },
            }
        )

    def trained_policy(self, calibration: CalibrationSet | None = None) -> BudgetPolicy:
        """The policy for inference: its arg-max is the choice.

        A supervised predictor gets its weights folded in. A constraint is made to hold for the
        arg-max on the `calibration` images (by default the training images), by one number that
        shifts all logits along the efficiencies.
        """
        policy = copy.deepcopy(self.policy).eval()
        weights = self.weighting.weights
        if isinstance(self.objective, Predictor):
            with torch.no_grad():
                policy.logits.weight *= weights[0]
                policy.logits.bias *= weights[0]
                policy.logits.bias += weights[1] * self.rewards.efficiency
        if isinstance(self.config.weighting, ConstraintWeighting):
            self._hold_constraint(policy, calibration or self._training_images())
        return policy

    def _training_images(self) -> CalibrationSet:
        return CalibrationSet(self.load, self.rewards.fidelity[:CALIBRATION_IMAGES])

    @torch.no_grad()
    def _hold_constraint(self, policy: BudgetPolicy, images: CalibrationSet) -> None:
        constraint, efficiency = self.config.weighting, self.rewards.efficiency
        rows = torch.arange(len(images.fidelity))
        scores = torch.cat([policy(images.load(part).float()) for part in rows.split(256)])
        overspent = overspending(
            budgets=self.budgets,
            fidelity=images.fidelity,
            mean_budget=constraint.mean_budget,
            quality_drop=constraint.quality_drop,
        )
        policy.logits.bias += efficiency * price_for(scores, efficiency, overspent)

    def state(self) -> TrainingState:
        """A copy of all that `load_state` needs to go on as if nothing had happened."""
        tensors = pack({**self.modules, "optimizer": self.optimizer})
        tensors |= {f"weighting.{k}": v.clone() for k, v in self.weighting.state().items()}
        tensors["reward_mean"] = self.reward_mean.clone()
        return TrainingState(tensors, self.step, list(self.history))

    def load_state(self, state: TrainingState) -> None:
        """Go on from `state`; raises `RuntimeError` when it belongs to another configuration."""
        different = self.state().tensors.keys() ^ state.tensors.keys()
        # An optimizer has moments only once it has stepped.
        if any(not name.startswith("optimizer.") for name in different):
            raise RuntimeError("the state belongs to a policy of another configuration")
        own = ("weighting.", "reward_mean")
        parts = {name: t for name, t in state.tensors.items() if not name.startswith(own)}
        unpack({**self.modules, "optimizer": self.optimizer}, parts)
        self.weighting.load_state(
            {
                name.removeprefix("weighting."): tensor
                for name, tensor in state.tensors.items()
                if name.startswith("weighting.")
            }
        )
        self.reward_mean = state.tensors["reward_mean"].clone()
        self.step, self.history = state.step, list(state.history)
