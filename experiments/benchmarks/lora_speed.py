"""Cost of LoRA heads: training steps and merged decoding, each against a model without heads.

Both models take turns, so that a busy machine slows both; of each pair only the ratio counts.
Run from the repository's root: `python -m experiments.benchmarks.lora_speed --threads 1`.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable

import torch

from adatok_core.compiled import compile_blocks
from adatok_core.config import LoRA, TokenizerConfig
from adatok_core.tokenizer import ElasticTokenizer
from adatok_core.transformer import Block

IMAGE_SIZE, PATCH_SIZE = 64, 8
DECODES = 5


def budgets_up_to(tokens: int, heads: int) -> tuple[int, ...]:
    """The powers of two that end in `tokens`: `heads` budgets."""
    return tuple(tokens >> shift for shift in reversed(range(heads)))


def model_of(options: argparse.Namespace, *, rank: int) -> ElasticTokenizer:
    """A tokenizer with adapters of `rank`, 0 for none."""
    config = TokenizerConfig(
        budgets=budgets_up_to(options.tokens, options.heads),
        patch_size=PATCH_SIZE,
        width=options.width,
        encoder_depth=options.depth,
        decoder_depth=options.depth,
        lora=LoRA(rank=rank),
    )
    torch.manual_seed(0)
    return ElasticTokenizer(config, image_size=IMAGE_SIZE)


def training_step(
    model: ElasticTokenizer, images: torch.Tensor, *, precision: str, compiled: bool
) -> Callable[[], None]:
    """A step on `images` with a budget drawn for each: forward, backward, optimizer."""
    if compiled:
        compile_blocks(part for part in model.modules() if isinstance(part, Block))
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    generator = torch.Generator().manual_seed(0)
    budgets = torch.tensor(model.config.budgets)

    def step() -> None:
        kept = budgets[torch.randint(len(budgets), (len(images),), generator=generator)]
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            result = model(images, kept, generator)
        ((result.images - images).square().mean() + result.quantized.loss).backward()
        optimizer.step()

    return step


def decoding(model: ElasticTokenizer, batch: int) -> Callable[[], None]:
    """Decode `batch` images at the full budget, a few times."""
    decoder = model.merged_decoder(model.config.max_tokens)
    codes = torch.rand(batch, model.config.max_tokens, model.quantizer.dimension) * 2 - 1

    @torch.inference_mode()
    def decode() -> None:
        for _ in range(DECODES):
            decoder(codes)

    return decode


def seconds(function: Callable[[], None]) -> float:
    """Wall time of one call."""
    began = time.perf_counter()
    function()
    return time.perf_counter() - began


def compare(
    treated: Callable[[], None], plain: Callable[[], None], repeats: int
) -> dict[str, object]:
    """Median ratio of `repeats` pairs, all ratios, and each side's median seconds."""
    treated(), plain()  # not counted: allocations, caches
    times = []
    for index in range(repeats):
        # Who goes first alternates, so that a drift of the machine favours neither.
        if index % 2:
            second, first = seconds(plain), seconds(treated)
        else:
            first, second = seconds(treated), seconds(plain)
        times.append((first, second))
    ratios = [first / second for first, second in times]
    return {
        "median_ratio": round(statistics.median(ratios), 4),
        "ratios": [round(ratio, 4) for ratio in ratios],
        "seconds": round(statistics.median(first for first, _ in times), 4),
        "plain_seconds": round(statistics.median(second for _, second in times), 4),
    }


def main() -> None:
    """Print both comparisons and their settings as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--depth", type=int, default=6, help="of the encoder and of the decoder")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--tokens", type=int, default=128, help="the full budget")
    parser.add_argument("--heads", type=int, default=8, help="budgets, halving from --tokens")
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--compile", action="store_true", help="the blocks, in training steps")
    options = parser.parse_args()
    if options.tokens >> (options.heads - 1) < 1:
        parser.error("--heads: too many; the smallest budget, tokens / 2^(heads - 1), is below 1")
    torch.set_num_threads(options.threads)
    heads, plain = model_of(options, rank=options.rank), model_of(options, rank=0)
    images = torch.rand(options.batch, 3, IMAGE_SIZE, IMAGE_SIZE)
    decoders = [decoding(model, options.batch) for model in (heads, plain)]
    steps = [
        training_step(model, images, precision=options.precision, compiled=options.compile)
        for model in (heads, plain)
    ]
    training = compare(*steps, options.repeats)
    merged = compare(*decoders, options.repeats)
    print(json.dumps({"options": vars(options), "training": training, "merged": merged}, indent=2))


if __name__ == "__main__":
    main()
