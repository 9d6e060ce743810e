"""Time of a training step of TiTok's authors' code against ours, at the shape of TiTok-S-128.

Theirs is their stage 1 without the teacher: model, cross-entropy of proxy codes (random here),
gradient clipping, AdamW, average of the weights. Ours has the same numbers of blocks, heads, tokens
and codes, and predicts pixels. Both take turns in one process, so that a busy machine slows both.
Ours is then timed at shorter prefixes, beside what its arithmetic falls to.
CHECKOUT is as for `published_speed.py`. Run from the repository's root, on an idle machine:
`python -m experiments.benchmarks.steps.step_speed --reference CHECKOUT`.
"""

from __future__ import annotations

import argparse
import os
import statistics
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from adatok_core.config import VQ, LengthSampling, LoRA, TokenizerConfig, TrainingConfig
from adatok_core.training import TokenizerTrainer
from bench.run.planning.counting import counting
from experiments.benchmarks.published_speed import reference_of, seconds

TOKENS, SIDE, PROXY_CODES = 128, 256, 1024
SHORTER = (32, 64)
Precision = Literal["fp32", "bf16"]


def theirs(reference: Any, images: Tensor, precision: Precision) -> Callable[[], Tensor]:
    """A step of their stage 1; their model and their average learn on from step to step."""
    from modeling.modules.ema_model import EMAModel

    proxies = torch.randint(PROXY_CODES, (len(images), (SIDE // 16) ** 2))
    parameters = list(reference.parameters())
    plain = [one for one in parameters if one.ndim < 2]
    rest = [one for one in parameters if one.ndim >= 2]
    groups: list[dict[str, Any]] = [
        {"params": plain, "weight_decay": 0.0},
        {"params": rest, "weight_decay": 1e-4},
    ]
    optimizer = torch.optim.AdamW(groups, lr=1e-4, betas=(0.9, 0.99))
    average = EMAModel(parameters, decay=0.999)

    def step() -> Tensor:
        reference.train()
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            logits, found = reference(images)
            loss: Tensor = F.cross_entropy(logits.flatten(2).float(), proxies)
        loss = loss + found["quantizer_loss"]
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        average.step(parameters)
        return loss.detach()

    return step


def ours(images: Tensor, precision: Precision, *, kept: int = TOKENS) -> Callable[[], int]:
    """A step of ours on the first `kept` of `TOKENS` tokens; tails are cut off."""
    tokenizer = TokenizerConfig(
        budgets=(kept, TOKENS) if kept < TOKENS else (TOKENS,),
        patch_size=16,
        width=512,
        encoder_depth=8,
        decoder_depth=8,
        attention_heads=8,
        quantizer=VQ(codebook_size=4096, dimension=12),
        tail="dropped",
        lora=LoRA(rank=0),
    )
    training = TrainingConfig(
        steps=10**6,
        batch=len(images),
        log_every=10**6,
        precision=precision,
        lengths=LengthSampling(distribution="policy", share=1.0),
    )
    pixels = (images * 255).to(torch.uint8)
    steps = TokenizerTrainer(
        tokenizer,
        training,
        image_size=SIDE,
        count=len(images),
        load=pixels.__getitem__,
        chosen=torch.full((len(images),), kept),
    ).run()
    return lambda: next(steps)


def flops(step: Callable[[], object]) -> int:
    """Floating-point operations of products in one call."""
    with counting() as counter:
        step()
    return int(counter.get_total_flops())


def product_peak() -> float:
    """FLOP/s of a product of a block's shapes, the machine's own bound on all of this."""
    a, b = torch.rand(8 * 384, 512), torch.rand(512, 2048)
    taken = seconds({"product": lambda: a @ b}, rounds=20)["product"][0]
    return 2 * a.shape[0] * a.shape[1] * b.shape[1] / min(taken)


def main() -> None:
    """Print times and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reference", type=Path, required=True, metavar="CHECKOUT")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(options.threads)
    load = "/".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"{options.batch} images, {options.threads} threads, torch {torch.__version__}, {load=}")
    print(f"a product of a block's shapes: {product_peak() / 1e9:.0f} GFLOP/s")
    config = Path("training", "TiTok", "stage1", "titok_s128.yaml")
    images = torch.rand(options.batch, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    for precision in ("fp32", "bf16"):
        reference = reference_of(options.reference, config)
        calls: dict[str, Callable[[], Any]] = {
            "theirs": theirs(reference, images, precision),
            "ours": ours(images, precision),
        }
        calls |= {f"ours, {kept} tokens": ours(images, precision, kept=kept) for kept in SHORTER}
        counts = {name: flops(call) for name, call in calls.items()}
        print(precision)
        for name, (wall, processor) in seconds(calls, options.rounds).items():
            print(
                f"  {name:16} {statistics.median(wall):.3f} s (fastest {min(wall):.3f}, processor "
                f"{statistics.median(processor):.3f}), {counts[name] / 1e9:.0f} GFLOP",
                flush=True,
            )


if __name__ == "__main__":
    main()
