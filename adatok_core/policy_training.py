"""Training of the budget policy from tables of rewards: no image is decoded."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

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
from adatok_core.trainer import Trainer
from adatok_core.training_state import DivergedError, TrainingState
from adatok_core.weighting import StepView, build_weighting

MONITOR_IMAGES = 1024
CALIBRATION_IMAGES = 8192
# Names of a state's tensors that are neither a module's nor an optimizer's.
WEIGHTING, REWARD_MEAN = "weighting.", "reward_mean"

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


class PolicyTrainer(Trainer[PolicyConfig]):
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
        self.load, self.rewards, self.mse = load, rewards, mse
        self.budgets = torch.tensor(config.candidates, dtype=torch.float32)
        self.policy = build_policy(config, length=length, width=width)
        self.objective = build_objective(config.objective)
        self.weighting = build_weighting(config.weighting, config.candidates)
        self._kl = getattr(config.objective, "kl", KL())
        modules: dict[str, nn.Module] = {"policy": self.policy}
        if self._baseline_kind == "critic":
            modules["critic"] = build_policy(config, length=length, width=width, outputs=1)
        if self._kl.reference == "snapshot":
            modules["reference"] = copy.deepcopy(self.policy).requires_grad_(False)
        trained = [p for module in modules.values() for p in module.parameters()]
        optimizer = torch.optim.AdamW(
            [p for p in trained if p.requires_grad], weight_decay=config.weight_decay, fused=True
        )
        self.reward_mean = torch.zeros((), dtype=torch.float64)
        super().__init__(config, modules=modules, optimizers={"optimizer": optimizer})

    @property
    def _baseline_kind(self) -> str | None:
        return getattr(self.objective, "baseline", None)

    def run(self) -> Iterator[int]:
        """Train to the end, yielding the number of finished steps after each one.

        Raises `DivergedError` when the objective is no longer finite.
        """
        if self.step == 0:
            self.weighting.begin(self.point())
        yield from super().run()

    def _train_step(self) -> None:
        config, step = self.config, self.step
        self._set_learning_rate(config.learning_rate * (1 - step / config.steps))
        images = batch_indices(step, count=len(self.mse), batch=config.batch, seed=config.seed)
        features = self.load(images).float()
        fidelity, weights = self.rewards.fidelity[images], self.weighting.weights
        if isinstance(self.objective, Predictor):
            goal, chances = self._regress(self.objective, features, fidelity, weights)
        else:
            rewards = self.rewards.scalar(images, weights)
            goal, chances = self._improve(self.objective, features, rewards)
        self.weighting.update(
            StepView(
                step=step + 1,
                policy=chances,
                fidelity=fidelity,
                gradients=lambda: self._gradients(features, fidelity),
                point=self.point,
            )
        )
        if self._row_is_due:
            self.history.append(self._row(goal, chances, weights, features))
        if self._kl.reference == "snapshot" and (step + 1) % self._kl.refresh_every == 0:
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
        log_policy = self.policy(features).log_softmax(-1)
        old = log_policy.detach()
        self._require_finite(old)
        actions = objective.draw(old, self._generator())
        batch = Batch(
            rewards=rewards,
            old_log_policy=old,
            reference_log_policy=self._reference(features, old),
            actions=actions,
            baseline=self._baseline(features),
        )
        drawn = rewards if actions is None else rewards.gather(-1, actions)
        for update in range(getattr(settings, "updates_per_batch", 1)):
            if update:
                log_policy = self.policy(features).log_softmax(-1)
            goal = objective.goal(
                log_policy,
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
        self._zero_gradients()
        (-goal).backward()
        self.optimizers["optimizer"].step()

    def _require_finite(self, value: Tensor) -> None:
        if not torch.isfinite(value).all():
            raise DivergedError(f"the policy's objective is not finite at step {self.step + 1}")

    def _generator(self) -> torch.Generator:
        """A fresh generator of the step's draws."""
        return step_generator(self.config.seed, self.step)

    @torch.no_grad()
    def _reference(self, features: Tensor, log_policy: Tensor) -> Tensor:
        if self._kl.reference == "uniform":
            return uniform_log_policy(log_policy)
        logits: Tensor = self.modules["reference"](features)
        return logits.log_softmax(-1)

    @torch.no_grad()
    def _baseline(self, features: Tensor) -> Tensor | None:
        if self._baseline_kind == "critic":
            value: Tensor = self.modules["critic"](features)
            return value.squeeze(-1)
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
        actions = objective.draw(log_policy.detach(), self._generator())
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
        scores: Tensor = self.policy(self.load(images).float())
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

    def _row(
        self, goal: float, chances: Tensor, weights: Tensor, features: Tensor
    ) -> dict[str, float]:
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
        return {
            "step": self.step + 1,
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
                policy.logits.weight.mul_(weights[0])
                policy.logits.bias.mul_(weights[0]).add_(weights[1] * self.rewards.efficiency)
        if isinstance(self.config.weighting, ConstraintWeighting):
            first = self.rewards.fidelity[:CALIBRATION_IMAGES]
            images = calibration or CalibrationSet(self.load, first)
            self._hold_constraint(self.config.weighting, policy, images)
        return policy

    @torch.no_grad()
    def _hold_constraint(
        self, constraint: ConstraintWeighting, policy: BudgetPolicy, images: CalibrationSet
    ) -> None:
        efficiency = self.rewards.efficiency
        rows = torch.arange(len(images.fidelity))
        scores = torch.cat([policy(images.load(part).float()) for part in rows.split(256)])
        overspent = overspending(
            budgets=self.budgets,
            fidelity=images.fidelity,
            mean_budget=constraint.mean_budget,
            quality_drop=constraint.quality_drop,
        )
        policy.logits.bias.add_(efficiency * price_for(scores, efficiency, overspent))

    def state(self) -> TrainingState:
        """A copy of all that `load_state` needs to go on as if nothing had happened."""
        state = super().state()
        own = {f"{WEIGHTING}{name}": t.clone() for name, t in self.weighting.state().items()}
        own[REWARD_MEAN] = self.reward_mean.clone()
        return replace(state, tensors=state.tensors | own)

    def load_state(self, state: TrainingState) -> None:
        """Go on from `state`; raises `RuntimeError` when it belongs to another configuration."""
        different = self.state().tensors.keys() ^ state.tensors.keys()
        # An optimizer has moments only once it has stepped.
        if any(not name.startswith("optimizer.") for name in different):
            raise RuntimeError("the state belongs to a policy of another configuration")
        tensors = dict(state.tensors)
        reward_mean = tensors.pop(REWARD_MEAN).clone()
        moving = [name for name in tensors if name.startswith(WEIGHTING)]
        weighting = {name.removeprefix(WEIGHTING): tensors.pop(name) for name in moving}
        super().load_state(replace(state, tensors=tensors))
        self.weighting.load_state(weighting)
        self.reward_mean = reward_mean
