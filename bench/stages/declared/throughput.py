"""The throughput stage: the speed of generation."""

from __future__ import annotations

from bench.stages import Stage

STAGE = Stage(name="throughput", version=1, device=True, run="bench.stages.throughput:run")
