"""Images per second of encoding and of decoding at each budget, measured."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from adatok_core.protocols import Tokenizer
from adatok_core.tokenizer import to_float
from bench.speed.decode_timing import spread

WARM_UP, REPEATS = 2, 7
# A network that is slow to measure is measured less often, but once at least.
SECONDS = 30.0
# The same of a share of times, which nobody waits long for.
SHARE_SECONDS = 4.0


def measure_throughput(
    tokenizer: Tokenizer,
    budgets: list[int],
    images: Tensor,
    *,
    device: str,
    seconds: float = SECONDS,
) -> dict[str, Any]:
    """Time one batch `uint8 [B, 3, H, W]`: median and quartiles of images per second.

    Encoding is measured at the full budget, decoding at each with its head merged. The device is
    synchronised before every reading of the clock; warm-up rounds are not counted. `batch` and
    `repeats` are less than `B` and `REPEATS` where `seconds` are not enough for them.
    """
    pixels = to_float(images.to(device))
    with torch.inference_mode():
        largest = tokenizer.prefix_decoder(budgets[-1])
        slowest = _seconds(lambda: largest(tokenizer.encode(pixels[:1], budgets[-1])[0]), device)
        pixels = pixels[: affordable(slowest, len(pixels), seconds=seconds)]
        decode = {}
        for budget in budgets:
            ids, _ = tokenizer.encode(pixels, budget)
            decoder = partial(tokenizer.prefix_decoder(budget), ids)
            decode[budget] = _rounds(decoder, device, seconds)
        encode = _rounds(lambda: tokenizer.encode(pixels), device, seconds)
    rate = len(pixels)
    return {
        "device": torch.cuda.get_device_name() if device == "cuda" else "cpu",
        "threads": torch.get_num_threads(),
        "batch": rate,
        "repeats": min(map(len, (encode, *decode.values()))),
        "encode_images_per_second": spread(rate / encode),
        "decode_images_per_second": {
            str(budget): spread(rate / taken) for budget, taken in decode.items()
        },
    }


def policy_time_share(
    encode: Callable[[int], Any],
    policy: Callable[[int], Any],
    *,
    images: int,
    device: str,
    repeats: int = 9,
    seconds: float = SHARE_SECONDS,
) -> float:
    """The policy's time as a share of the encoder's, on a device: median of ratios side by side.

    Both are given a number of images: `images`, or as many as `seconds` are enough for.
    """
    with torch.inference_mode():
        count = affordable(_seconds(lambda: encode(1), device), images, seconds=seconds)

        def ratio() -> float:
            encoding = _seconds(lambda: encode(count), device)
            return _seconds(lambda: policy(count), device) / encoding

        return float(np.median(_until(ratio, repeats=repeats, seconds=seconds)))


def affordable(taken: float, images: int, *, seconds: float = SECONDS) -> int:
    """How many of the images fit into a tenth of `seconds`, if one takes so long; one at least."""
    return max(1, min(images, int(seconds / 10 / max(taken, 1e-6))))


def _rounds(function: Callable[[], Any], device: str, seconds: float = SECONDS) -> np.ndarray:
    return np.array(_until(lambda: _seconds(function, device), repeats=REPEATS, seconds=seconds))


def _until(measure: Callable[[], float], *, repeats: int, seconds: float) -> list[float]:
    """Measured values after the warm-up, which a slow measure has in part or none of."""
    began, values = time.perf_counter(), []
    for round_ in range(WARM_UP + repeats):
        values.append(measure())
        if time.perf_counter() - began > seconds:
            return values[min(WARM_UP, round_) :]
    return values[WARM_UP:]


def _seconds(function: Callable[[], Any], device: str) -> float:
    _synchronise(device)
    began = time.perf_counter()
    function()
    _synchronise(device)
    return time.perf_counter() - began


def _synchronise(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()
