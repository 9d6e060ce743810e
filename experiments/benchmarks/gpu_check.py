"""Five minutes on one GPU: speed, memory and numerics of the parts that no CPU can show.

Prints one JSON, in which a part that failed says why and a part that time did not reach says so.
Run from the repository's root: `python -m experiments.benchmarks.gpu_check --out gpu_check.json`.
`--device cpu --tiny` goes through the same code without a GPU: its figures mean nothing.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from adatok_core.build import build_tokenizer
from adatok_core.config import FSQ, LengthSampling, LoRA, TokenizerConfig, TrainingConfig
from adatok_core.tokenizer import to_float
from adatok_core.training import TokenizerTrainer
from adatok_core.training_state import TrainingState
from bench.run.planning.counting import counting
from experiments.benchmarks.step_graph import StepGraph

SECONDS = 300.0
WARM_UP, STEPS = 3, 10


@dataclass(frozen=True)
class Case:
    """A tokenizer, the side of its images, and the images of a step."""

    tokenizer: TokenizerConfig
    image_size: int
    batch: int


def sized(width: int, depth: int, *, batch: int) -> Case:
    """A tokenizer of TiTok's kind: 256 px, 256 tokens, budgets in steps of 32."""
    tokenizer = TokenizerConfig(
        budgets=tuple(range(32, 257, 32)),
        patch_size=16,
        width=width,
        encoder_depth=depth,
        decoder_depth=depth,
        attention_heads=width // 64,
        lora=LoRA(rank=0),
    )
    return Case(tokenizer, 256, batch)


SMALL = Case(
    TokenizerConfig(
        budgets=(1, 2, 4, 8, 16),
        patch_size=8,
        width=96,
        encoder_depth=3,
        decoder_depth=3,
        attention_heads=4,
        quantizer=FSQ(levels=(8, 8, 8, 8)),
        lora=LoRA(rank=0),
    ),
    32,
    32,
)
CASES = {"S": sized(512, 8, batch=128), "B": sized(768, 12, batch=64)}
TINY = {"S": SMALL, "B": SMALL}


def pixels(count: int, size: int) -> Tensor:
    """Noise as images, uint8 `[n, 3, H, W]`."""
    return torch.randint(
        0,
        256,
        (count, 3, size, size),
        dtype=torch.uint8,
        generator=torch.Generator().manual_seed(0),
    )


def trainer_of(case: Case, device: str, *, precision: str = "bf16") -> TokenizerTrainer:
    """A training whose images lie on the device."""
    images = pixels(case.batch, case.image_size).to(device)
    training = TrainingConfig(
        steps=10_000,
        batch=case.batch,
        precision="bf16" if precision == "bf16" else "fp32",
        log_every=10_000,
        lengths=LengthSampling(full_share=0.4),
    )
    return TokenizerTrainer(
        case.tokenizer,
        training,
        image_size=case.image_size,
        count=case.batch,
        load=lambda indices: images[indices.to(device)],
        device=device,
    )


def synchronise(device: str) -> None:
    """Wait for all that was launched."""
    if device == "cuda":
        torch.cuda.synchronize()


def seconds_of(function: Callable[[], Any], device: str, *, times: int = STEPS) -> float:
    """Median of `times` calls after the warm-up."""
    for _ in range(WARM_UP):
        function()
    taken = []
    for _ in range(times):
        synchronise(device)
        began = time.perf_counter()
        function()
        synchronise(device)
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)


def peak(device: str) -> float:
    """FLOP/s of a large bf16 product: the ceiling that an MFU is told of here."""
    side = 8192 if device == "cuda" else 256
    a, b = (torch.randn(side, side, device=device, dtype=torch.bfloat16) for _ in range(2))
    return 2 * side**3 / seconds_of(lambda: a @ b, device)


def machine(device: str) -> dict[str, Any]:
    """Names, versions, and the ceiling."""
    return {
        "name": torch.cuda.get_device_name() if device == "cuda" else "cpu",
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "bf16_product_tflops": peak(device) / 1e12,
    }


def step(case: Case, device: str, *, rank: int, compiled: bool) -> dict[str, float]:
    """Time and MFU of a training step in bf16, and the memory it takes."""
    tokenizer = replace(case.tokenizer, lora=LoRA(rank=rank))
    trainer = trainer_of(replace(case, tokenizer=tokenizer), device)
    with counting() as counter:
        trainer._train_step()
    if compiled:
        for part in (trainer.model.encoder, trainer.model.decoder):
            for block in part.transformer.blocks:  # type: ignore[union-attr]
                block.compile()
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    seconds = seconds_of(trainer._train_step, device)
    return {
        "milliseconds": 1e3 * seconds,
        "mfu": counter.get_total_flops() / seconds / peak(device),
        "images_per_second": case.batch / seconds,
        "gibibytes": torch.cuda.max_memory_allocated() / 2**30 if device == "cuda" else 0.0,
    }


def largest_batch(case: Case, device: str) -> dict[str, int]:
    """Images of a step, doubled until memory ends."""
    if device != "cuda":
        return {"images": case.batch}
    batch = case.batch
    try:
        while True:
            trainer_of(replace(case, batch=2 * batch), device)._train_step()
            batch *= 2
    except torch.OutOfMemoryError:
        torch.cuda.empty_cache()
    return {"images": batch}


@torch.inference_mode()
def bank(case: Case, device: str) -> dict[str, float]:
    """Images per second of encoding, and of decoding at the least and at all tokens."""
    model = build_tokenizer(case.tokenizer, image_size=case.image_size).to(device).eval()
    images = to_float(pixels(case.batch, case.image_size).to(device))
    ids, _ = model.encode(images)
    rates = {"encode": case.batch / seconds_of(lambda: model.encode(images), device)}
    for budget in (case.tokenizer.budgets[0], case.tokenizer.max_tokens):
        decode = model.prefix_decoder(budget)
        prefix = ids[:, :budget]
        rates[f"decode {budget}"] = case.batch / seconds_of(
            lambda decode=decode, prefix=prefix: decode(prefix), device
        )
    return rates


@torch.inference_mode()
def numerics(case: Case, device: str) -> dict[str, float]:
    """Share of equal ids, and relative rms of images decoded from the same ids, against the CPU."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        here = build_tokenizer(case.tokenizer, image_size=case.image_size).eval()
    there = build_tokenizer(case.tokenizer, image_size=case.image_size).to(device).eval()
    there.load_state_dict(here.state_dict())
    images = to_float(pixels(4, case.image_size))
    ids = here.encode(images)[0]
    equal = (there.encode(images.to(device))[0].cpu() == ids).float().mean().item()
    mine = here.prefix_decoder(case.tokenizer.max_tokens)(ids)
    other = there.prefix_decoder(case.tokenizer.max_tokens)(ids.to(device)).cpu()
    error = ((mine - other).square().mean() / mine.square().mean()).sqrt().item()
    return {"equal_ids": equal, "relative_rms": error}


def resumed(case: Case, device: str) -> dict[str, float]:
    """Largest difference of weights between six steps at once and in two halves."""

    def run(state: TrainingState | None, steps: int) -> TrainingState:
        trainer = trainer_of(case, device, precision="fp32")
        if state is not None:
            trainer.load_state(state)
        for done in trainer.run():
            if done == steps:
                break
        return trainer.state()

    whole, halves = run(None, 6), run(run(None, 3), 6)
    return {
        "largest_difference": max(
            (value.float() - halves.tensors[name].float()).abs().max().item()
            for name, value in whole.tensors.items()
        )
    }


def graph(device: str) -> dict[str, float]:
    """Steps per second of the quickstart's tokenizer, by kernels and as one CUDA graph."""
    rates = {}
    for name in ("kernels", "graph") if device == "cuda" else ("kernels",):
        trainer = trainer_of(SMALL, device, precision="fp32")
        if name == "graph":
            trainer._update = StepGraph(trainer._update)  # type: ignore[method-assign]
        run = iter(trainer.run())
        rates[name] = 1 / seconds_of(lambda run=run: next(run), device, times=100)
    return rates


def parts(cases: dict[str, Case], device: str) -> Iterator[tuple[str, Callable[[], Any]]]:
    """What is measured, the most needed first."""
    yield "machine", lambda: machine(device)
    yield "numerics S", lambda: numerics(cases["S"], device)
    yield "resume", lambda: resumed(SMALL, device)
    yield "graph", lambda: graph(device)
    for name, case in cases.items():
        for rank in (0, 16):
            for compiled in (False, True):
                about = f"step {name}, heads of rank {rank}{', compiled' * compiled}"
                yield (
                    about,
                    lambda case=case, rank=rank, compiled=compiled: step(
                        case, device, rank=rank, compiled=compiled
                    ),
                )
        yield f"bank {name}", lambda case=case: bank(case, device)
    yield "largest batch S", lambda: largest_batch(cases["S"], device)


def main() -> int:
    """Measure, and print one JSON; 1 if a part failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--tiny", action="store_true", help="the quickstart's sizes")
    parser.add_argument("--out", type=Path, help="also write the JSON to this file")
    options = parser.parse_args()
    began, failed, found = time.perf_counter(), False, {}
    for name, measure in parts(TINY if options.tiny else CASES, options.device):
        if time.perf_counter() - began > SECONDS:
            found[name] = "not reached"
            continue
        try:
            found[name] = measure()
        except Exception as error:  # The other parts are worth their time all the same.
            failed, found[name] = True, f"{type(error).__name__}: {error}".splitlines()[0]
    found["seconds"] = time.perf_counter() - began
    text = json.dumps(found, indent=2)
    print(text)
    if options.out:
        options.out.write_text(text, encoding="utf-8")
    return int(failed)


if __name__ == "__main__":
    raise SystemExit(main())
