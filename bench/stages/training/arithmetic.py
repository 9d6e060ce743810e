"""The arithmetic of trainings on a GPU."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch

Products = Literal["fp32", "tf32"]


@contextmanager
def products(device: str) -> Iterator[Products]:
    """How float32 matrices are multiplied while the block runs: on CUDA in TF32, faster by far.

    TF32 rounds factors to 10 bits of mantissa, as trainings bear. Other stages of this process keep
    full precision: ids and distances must not depend on which stage ran before.
    """
    if torch.device(device).type != "cuda":
        yield "fp32"
        return
    before = torch.get_float32_matmul_precision()
    convolutions = torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.allow_tf32 = True
    try:
        yield "tf32"
    finally:
        torch.set_float32_matmul_precision(before)
        torch.backends.cudnn.allow_tf32 = convolutions
