"""Names of files for figures of which a report has several."""

from __future__ import annotations

import re
from collections.abc import Sequence


def file_names(stem: str, labels: Sequence[str]) -> list[str]:
    """`gallery-elastic-lora.rank-8` for each label; equal names are told apart by a number."""
    names: list[str] = []
    for label in labels:
        words = re.sub(r"[^A-Za-z0-9._]+", "-", label).strip("-._")[:80]
        name = f"{stem}-{words}" if words else stem
        count = 2
        while name in names:
            name = f"{stem}-{words}-{count}" if words else f"{stem}-{count}"
            count += 1
        names.append(name)
    return names
