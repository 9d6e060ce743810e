"""The external stage: a tokenizer that is not trained here, looked at once."""

from __future__ import annotations

from bench.stages import Stage

STAGE = Stage(name="external", version=1, device=True, run="bench.stages.external:run")
