"""The stage of code histograms: codes of a generator's samples against those of real images."""

from __future__ import annotations

from bench.stages import Stage

STAGE = Stage(name="code_histograms", version=1, run="bench.stages.diagnostics.code_histograms:run")
