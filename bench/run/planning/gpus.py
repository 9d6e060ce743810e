"""GPUs by name: what they compute at most, for plans of machines that are not here."""

from __future__ import annotations

import re
from dataclasses import dataclass

from bench.errors import UserError, suggestion

# Peak dense bf16 FLOP/s from NVIDIA's and AMD's data sheets, without sparsity.
PEAK_FLOPS = {
    "A100": 312e12,
    "A10G": 70e12,
    "A6000": 155e12,
    "B200": 2250e12,
    "H100": 989e12,
    "H200": 989e12,
    "L40S": 362e12,
    "L4": 121e12,
    "MI300X": 1307e12,
    "RTX4090": 165e12,
}
# Bytes of memory, of the largest of a name (A100: that of 80 GB).
MEMORY = {
    "A100": 80e9,
    "A10G": 24e9,
    "A6000": 48e9,
    "B200": 180e9,
    "H100": 80e9,
    "H200": 141e9,
    "L40S": 48e9,
    "L4": 24e9,
    "MI300X": 192e9,
    "RTX4090": 24e9,
}
# What such machines come with.
CPUS_A_GPU = 16
# Of the peak, what a training of this size typically comes to: PaLM's 46 % is of a far larger one.
MFU = 0.35


@dataclass(frozen=True)
class Machine:
    """`count` GPUs of one name, which compute the share `mfu` of their peak."""

    count: int
    name: str
    mfu: float

    @property
    def flops(self) -> float:
        """FLOP/s of one GPU."""
        return PEAK_FLOPS[self.name] * self.mfu

    @property
    def memory(self) -> float:
        """Bytes of one GPU."""
        return MEMORY[self.name]

    def __str__(self) -> str:
        peak = PEAK_FLOPS[self.name] / 1e12
        return f"{self.count}x{self.name} at {self.mfu:.0%} MFU of {peak:g} TFLOP/s (bf16)"


def parse_machine(text: str, mfu: float) -> Machine:
    """The machine of `8xH100`, or `H100` for one.

    Raises:
        UserError: it is none, or its peak is not known.
    """
    found = re.fullmatch(r"(?:(\d+)\s*x\s*)?([A-Za-z0-9]+)", text.strip())
    name = found[2].upper() if found else ""
    if not found or name not in PEAK_FLOPS or found[1] == "0":
        near = suggestion(name, list(PEAK_FLOPS)) or f"; known are {', '.join(PEAK_FLOPS)}"
        raise UserError(f"--as {text}: give a number and a GPU, such as 8xH100{near}")
    return Machine(int(found[1] or 1), name, mfu)
