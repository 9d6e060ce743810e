"""The policy stage: learns from the bank's errors and features, decodes nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from adatok_core.config import PolicyConfig
from adatok_core.policy_training import CalibrationSet, PolicyTrainer
from adatok_core.rewards import RewardTable
from adatok_core.tokenizer import parameter_count
from bench.allocators.policy_features import PolicyFeatures, policy_features
from bench.artifacts.bank import Bank
from bench.artifacts.networks import POLICY_WEIGHTS
from bench.config.settings import parse
from bench.memory import keep_freed_memory
from bench.stages.declared.policy import STAGE
from bench.stages.training.checkpointing import steps_of
from bench.store.checkpoints import remove_states, save_tensors
from bench.store.stage import StageContext


def run(context: StageContext) -> dict[str, Any]:
    """Train the policy, going on from the last checkpoint; its trajectory is part of the result.

    In a dry run each image's errors are sorted, as those of a tokenizer that has hardly trained do
    not fall with tokens, and then there is nothing to learn.

    Raises:
        DivergedError: the objective is not finite; names the step.
        UserError: the bank was made with another tokenizer, or a batch takes more images than it
            has.
        ValueError: the tokenizer's distortion does not fall over the candidates.
    """
    keep_freed_memory()
    bank, untrained = Bank.read(context.inputs["bank"]), context.dry
    if "tokenizer" in context.inputs:
        bank.require_tokenizer(context.inputs["tokenizer"])
    config = parse(PolicyConfig, context.spec.config, where="policy")
    STAGE.require_images(context.spec.config, bank.about["images"]["count"])
    features = policy_features(
        config,
        bank,
        tokenizer=context.inputs.get("tokenizer"),
        images=context.inputs.get("images"),
    )
    trainer = build_trainer(config, bank, features, untrained=untrained)
    for step in steps_of(context, trainer):
        if step % config.log_every == 0:
            context.curve(trainer.history)
            context.progress(step, config.steps, "steps")
    policy = trainer.trained_policy(_calibration(config, context.inputs, untrained=untrained))
    save_tensors(
        context.work / POLICY_WEIGHTS,
        policy.state_dict(),
        about={
            "policy": context.spec.config,
            "length": features.length,
            "width": features.width,
        },
    )
    remove_states(context.work)
    return {"history": trainer.history, "parameters": parameter_count(policy)}


def _calibration(
    config: PolicyConfig, inputs: dict[str, Path], *, untrained: bool
) -> CalibrationSet | None:
    """The images set aside to hold a constraint on; without any, the training images serve."""
    if "calibration" not in inputs:
        return None
    bank = Bank.read(inputs["calibration"])
    features = policy_features(
        config,
        bank,
        tokenizer=inputs.get("tokenizer"),
        images=inputs.get("calibration_images"),
    )
    rewards = build_rewards(config, bank, untrained=untrained)
    return CalibrationSet(features.load, rewards.fidelity)


def _errors(config: PolicyConfig, bank: Bank, name: str, *, untrained: bool) -> Tensor:
    """Errors `[n, M]` of a bank's images at the policy's candidates."""
    columns = bank.columns(list(config.candidates))
    errors = torch.from_numpy(bank.per_budget(name)[:, columns]).float()
    return errors.sort(dim=1, descending=True).values if untrained else errors


def build_rewards(config: PolicyConfig, bank: Bank, *, untrained: bool = False) -> RewardTable:
    """The rewards of a bank's images at the policy's candidates; for `untrained` see `run`."""
    perceptual = None
    if config.reward.perceptual_share > 0:
        perceptual = _errors(config, bank, "perceptual", untrained=untrained)
    return RewardTable.of(
        _errors(config, bank, "mse", untrained=untrained),
        config.candidates,
        max_tokens=bank.about["max_tokens"],
        config=config.reward,
        perceptual=perceptual,
    )


def build_trainer(
    config: PolicyConfig, bank: Bank, features: PolicyFeatures, *, untrained: bool = False
) -> PolicyTrainer:
    """The trainer of a policy on `bank`, whose images have these `features`."""
    return PolicyTrainer(
        config,
        load=features.load,
        length=features.length,
        width=features.width,
        rewards=build_rewards(config, bank, untrained=untrained),
        mse=_errors(config, bank, "mse", untrained=untrained),
    )
