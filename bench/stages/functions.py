"""The function of each stage. Imports torch: only what computes imports this."""

from __future__ import annotations

from bench.stages import (
    bank,
    data,
    evaluation,
    generator,
    manifest,
    png_sizes,
    policy,
    samples,
    throughput,
    tokenizer,
)
from bench.store.stage import StageFunction

STAGE_FUNCTIONS: dict[str, StageFunction] = {
    "manifest": manifest.run,
    "data": data.run,
    "tokenizer": tokenizer.run,
    "bank": bank.run,
    "policy": policy.run,
    "png_sizes": png_sizes.run,
    "evaluation": evaluation.run,
    "generator": generator.run,
    "samples": samples.run,
    "throughput": throughput.run,
}
