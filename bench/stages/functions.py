"""The function of each stage. Imports torch: only what computes imports this."""

from __future__ import annotations

from bench.stage import StageFunction
from bench.stages import bank, data, evaluation, manifest, png_sizes, policy, tokenizer

STAGE_FUNCTIONS: dict[str, StageFunction] = {
    "manifest": manifest.run,
    "data": data.run,
    "tokenizer": tokenizer.run,
    "bank": bank.run,
    "policy": policy.run,
    "png_sizes": png_sizes.run,
    "evaluation": evaluation.run,
}
