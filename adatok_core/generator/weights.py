"""A generator's weights made ready for decoding."""

from __future__ import annotations

import copy
from typing import Literal

import torch

from adatok_core.generator.model import Generator

Precision = Literal["fp32", "bf16"]
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def prepared(generator: Generator, *, precision: Precision, device: torch.device) -> Generator:
    """A copy of `generator` that decodes on `device` in `precision`."""
    return copy.deepcopy(generator).requires_grad_(False).to(device, DTYPES[precision]).eval()
