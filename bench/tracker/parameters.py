"""The settings of a cell that are parameters of its run: those that name it or set it apart.

All the others, and lists that are too long to filter on, are in the artifact `settings.yaml`.
"""

from __future__ import annotations

from bench.files import canonical_json
from bench.records.record import Record
from bench.records.settings_paths import flatten, is_seed

LONGEST = 250
# A path names a setting and all below it.
NAMING = (
    "data.kind",
    "data.resolution",
    "tokenizer.kind",
    "tokenizer.factory",
    "tokenizer.arguments",
    "tokenizer.budgets",
    "tokenizer.encoding",
    "tokenizer.lora.rank",
    "tokenizer.quantizer",
    "codesign.rounds",
    "codesign.start",
    "codesign.training.lengths",
    "policy.candidates",
    "policy.objective.kind",
    "policy.weighting",
    "allocator",
    "generation.generator.lengths",
    "generation.budget",
    "generation.sampling",
    "throughput.lengths",
)


def parameters(record: Record, varying: set[str]) -> dict[str, str]:
    """Parameters by name: arm, group, and settings by dotted path, written as YAML writes them."""
    wanted = (*NAMING, *record.swept)
    chosen = {"arm": record.arm, "group": record.group}
    for path, value in flatten(record.settings):
        named = any(path == name or path.startswith(f"{name}.") for name in wanted)
        if path in varying or is_seed(path) or (named and value is not None):
            chosen[path] = value if isinstance(value, str) else canonical_json(value)
    return {path: text for path, text in chosen.items() if len(text) <= LONGEST}


def repetition(record: Record) -> str:
    """The seed that tells the cell from its repetitions: the first that is swept.

    Where none is swept there are no repetitions, and it is the seed of the training.
    """
    flat = dict(flatten(record.settings))
    swept = [path for path in record.swept if is_seed(path)]
    return str(flat.get((swept or ["training.seed"])[0], ""))
