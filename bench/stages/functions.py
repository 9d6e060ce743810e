"""The function of each stage. Imports torch: only what computes imports this."""

from __future__ import annotations

from bench.stage import StageFunction
from bench.stages import bank, data, evaluation, policy, tokenizer

STAGE_FUNCTIONS: dict[str, StageFunction] = {
    "data": data.run,
    "tokenizer": tokenizer.run,
    "bank": bank.run,
    "policy": policy.run,
    "evaluation": evaluation.run,
}
