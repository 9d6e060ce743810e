"""The stage of reconstructions that were made elsewhere: every file of a folder, decoded once."""

from __future__ import annotations

from bench.stages import Stage

STAGE = Stage(name="reconstructions", version=1, run="bench.stages.reconstructions:run")
