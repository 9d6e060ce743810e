"""The manifest stage: every file of an image folder checked once, for all its splits."""

from __future__ import annotations

from bench.stages import Stage

STAGE = Stage(name="manifest", version=1, run="bench.stages.manifest:run")
