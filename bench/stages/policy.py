"""The policy stage: learns from the bank's errors and latents, decodes nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from adatok_core.config import PolicyConfig
from adatok_core.policy import BudgetPolicy
from adatok_core.policy_training import build_policy, train_policy
from adatok_core.tokenizer import parameter_count
from bench.bank import Bank
from bench.checkpoints import load_tensors, save_tensors
from bench.settings import parse
from bench.stage import StageContext

WEIGHTS = "policy.safetensors"


def run(context: StageContext) -> dict[str, Any]:
    """Train the policy; its trajectory is part of the result.

    Raises:
        DivergedError: the objective is not finite; names the step.
        ValueError: the tokenizer's distortion does not fall over the candidates.
    """
    bank = Bank.read(context.inputs["bank"])
    config = parse(PolicyConfig, context.spec.config, where="policy")
    columns = bank.columns(list(config.candidates))
    trained = train_policy(
        config,
        latents=torch.from_numpy(np.array(bank.array("latents"))),
        distortion=torch.from_numpy(bank.per_budget("mse")[:, columns]).float(),
        max_tokens=int(bank.budgets[-1]),
    )
    latents, width = bank.array("latents").shape[1:]
    save_tensors(
        context.work / WEIGHTS,
        trained.policy.state_dict(),
        about={"policy": context.spec.config, "latents": latents, "width": width},
    )
    return {
        "history": trained.history,
        "parameters": parameter_count(trained.policy),
    }


def load_policy(artifact: Path) -> tuple[BudgetPolicy, PolicyConfig]:
    """The trained policy of an artifact and its configuration."""
    tensors, about = load_tensors(artifact / WEIGHTS)
    config = parse(PolicyConfig, about["policy"], where=str(artifact))
    policy = build_policy(config, latents=about["latents"], width=about["width"])
    policy.load_state_dict(tensors)
    return policy.eval(), config
