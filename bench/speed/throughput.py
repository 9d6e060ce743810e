"""Images per second of encoding and of decoding at each budget, measured."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from adatok_core.protocols import Tokenizer
from adatok_core.tokenizer import to_float
from bench.speed.decode_timing import spread

WARM_UP, REPEATS = 2, 7


def measure_throughput(
    tokenizer: Tokenizer, budgets: list[int], images: Tensor, *, device: str
) -> dict[str, Any]:
    """Time one batch `uint8 [B, 3, H, W]`: median and quartiles of images per second.

    Encoding is measured at the full budget, decoding at each with its head merged. The device is
    synchronised before every reading of the clock; two warm-up rounds are not counted.
    """
    pixels = to_float(images.to(device))
    with torch.inference_mode():
        decode = {}
        for budget in budgets:
            ids, _ = tokenizer.encode(pixels, budget)
            decode[budget] = _rate(
                partial(tokenizer.prefix_decoder(budget), ids), len(images), device
            )
        encode = _rate(lambda: tokenizer.encode(pixels), len(images), device)
    return {
        "device": torch.cuda.get_device_name() if device == "cuda" else "cpu",
        "threads": torch.get_num_threads(),
        "batch": len(images),
        "repeats": REPEATS,
        "encode_images_per_second": encode,
        "decode_images_per_second": {str(budget): rate for budget, rate in decode.items()},
    }


def policy_time_share(
    encode: Callable[[], Any], policy: Callable[[], Any], *, repeats: int = 9
) -> float:
    """The policy's time as a share of the encoder's, on the CPU: median of ratios side by side."""
    ratios = []
    with torch.inference_mode():
        for round_ in range(WARM_UP + repeats):
            seconds = []
            for function in (encode, policy):
                began = time.perf_counter()
                function()
                seconds.append(time.perf_counter() - began)
            if round_ >= WARM_UP:
                ratios.append(seconds[1] / seconds[0])
    return float(torch.tensor(ratios).median())


def _rate(function: Callable[[], Any], images: int, device: str) -> dict[str, float]:
    rates = []
    for round_ in range(WARM_UP + REPEATS):
        _synchronise(device)
        began = time.perf_counter()
        function()
        _synchronise(device)
        if round_ >= WARM_UP:
            rates.append(images / (time.perf_counter() - began))
    return spread(rates)


def _synchronise(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()
