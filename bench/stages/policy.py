"""The policy stage: learns from the bank's errors and features, decodes nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from adatok_core.config import PolicyConfig
from adatok_core.policy_training import CalibrationSet, PolicyTrainer
from adatok_core.rewards import RewardTable
from adatok_core.tokenizer import parameter_count
from bench.allocators.policy_features import PolicyFeatures, policy_features
from bench.artifacts.bank import Bank
from bench.artifacts.networks import POLICY_WEIGHTS
from bench.config.settings import parse
from bench.store.checkpoints import remove_states, save_tensors, steps_of
from bench.store.enough import require_batch
from bench.store.memory import keep_freed_memory
from bench.store.stage import StageContext


def run(context: StageContext) -> dict[str, Any]:
    """Train the policy, going on from the last checkpoint; its trajectory is part of the result.

    Raises:
        DivergedError: the objective is not finite; names the step.
        UserError: the bank was made with another tokenizer, or a batch takes more images than it
            has.
        ValueError: the tokenizer's distortion does not fall over the candidates.
    """
    keep_freed_memory()
    bank = Bank.read(context.inputs["bank"])
    if "tokenizer" in context.inputs:
        bank.require_tokenizer(context.inputs["tokenizer"])
    config = parse(PolicyConfig, context.spec.config, where="policy")
    require_batch(config.batch, bank.about["images"]["count"])
    features = policy_features(
        config,
        bank,
        tokenizer=context.inputs.get("tokenizer"),
        images=context.inputs.get("images"),
    )
    trainer = build_trainer(config, bank, features)
    for step in steps_of(context, trainer):
        if step % config.log_every == 0:
            context.curve(trainer.history)
            context.progress(step, config.steps, "steps")
    policy = trainer.trained_policy(_calibration(config, context.inputs))
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


def _calibration(config: PolicyConfig, inputs: dict[str, Path]) -> CalibrationSet | None:
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
    return CalibrationSet(features.load, build_rewards(config, bank).fidelity)


def build_rewards(config: PolicyConfig, bank: Bank) -> RewardTable:
    """The rewards of a bank's images at the policy's candidates."""
    columns = bank.columns(list(config.candidates))
    perceptual = None
    if config.reward.perceptual_share > 0:
        perceptual = torch.from_numpy(bank.per_budget("perceptual")[:, columns]).float()
    return RewardTable.of(
        torch.from_numpy(bank.per_budget("mse")[:, columns]).float(),
        config.candidates,
        max_tokens=bank.about["max_tokens"],
        config=config.reward,
        perceptual=perceptual,
    )


def build_trainer(config: PolicyConfig, bank: Bank, features: PolicyFeatures) -> PolicyTrainer:
    """The trainer of a policy on `bank`, whose images have these `features`."""
    columns = bank.columns(list(config.candidates))
    return PolicyTrainer(
        config,
        load=features.load,
        length=features.length,
        width=features.width,
        rewards=build_rewards(config, bank),
        mse=torch.from_numpy(bank.per_budget("mse")[:, columns]).float(),
    )
