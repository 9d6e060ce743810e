"""How much work a stage is, from what it is asked to do: what the costs of stages are compared by.

Letters: `D` width, `S` sequence.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

# Stages that do the same work do it whatever these are.
_NO_WORK = ("seed", "log_every", "checkpoint_every")


@dataclass(frozen=True)
class Job:
    """A stage, computed or not, by what decides its cost. `count` images are in a split.

    `runtime` is known of stages of this suite alone.
    """

    stage: str
    config: dict[str, Any]
    inputs: dict[str, Job]
    resources: dict[str, Any]
    count: int | None = None
    runtime: dict[str, Any] = field(default_factory=dict)


class Work(NamedTuple):
    """A kind of work (any JSON-able value), how much of it (None: not known), and of what."""

    kind: Any
    amount: float | None
    by: str


def same_settings(job: Job) -> Work:
    """A stage of which nothing is known: it costs what one with the same settings has cost."""
    return Work([_of_work(job.config), sorted(job.inputs)], 1.0, "same settings")


def network(shape: dict[str, Any]) -> Any:
    """What tells tokenizers apart whose costs cannot be compared by their shape."""
    return shape.get("encoding", shape)


def encode(shape: dict[str, Any], images: Job) -> float:
    """Multiplications of encoding an image with a tokenizer of this shape, but for a constant."""
    if "encoding" not in shape:
        return 1.0
    rollouts: int = shape["rollouts"] or 1
    depth: int = shape["encoder_depth"]
    return rollouts * depth * _layer(shape, images)


def decode(shape: dict[str, Any], images: Job) -> float:
    """Multiplications of decoding an image once, but for a constant."""
    if "encoding" not in shape:
        return 1.0
    depth: int = shape["decoder_depth"]
    return depth * _layer(shape, images)


def sequence(generator: Job) -> float:
    """Multiplications of a generator over its longest sequence, but for a constant."""
    shape = generator.config["generator"]
    tokens: int = generator.inputs["tokenizer"].config["tokenizer"]["budgets"][-1]
    budget = generator.config["budget"]
    length = (budget if isinstance(budget, int) else tokens) + 1
    depth: int = shape["depth"]
    return depth * _multiplications(length, shape["width"])


def _layer(shape: dict[str, Any], images: Job) -> float:
    patches: float = (images.config["resolution"] / shape["patch_size"]) ** 2
    return _multiplications(patches + shape["budgets"][-1], shape["width"])


def _multiplications(sequence: float, width: int) -> float:
    """Those of a transformer's layer, but for a constant: `S (6 D^2 + S D)`."""
    return sequence * (6 * width**2 + sequence * width)


def _of_work(config: Any) -> Any:
    if isinstance(config, dict):
        return {name: _of_work(value) for name, value in config.items() if name not in _NO_WORK}
    return config
