"""The stage of prefix cosines: how alike a prefix and all tokens look inside the decoder."""

from __future__ import annotations

from bench.stages import Stage

STAGE = Stage(
    name="prefix_cosine", version=1, device=True, run="bench.stages.diagnostics.prefix_cosine:run"
)
