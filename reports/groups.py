"""Records sorted into what they are, and cells that differ in their seed only put together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bench.labels import describe_sweep
from bench.protocol import require_one_protocol
from bench.statistics import StudentInterval, student_interval

Record = dict[str, Any]


@dataclass(frozen=True)
class Group:
    """Cells of one arm that differ in seeds only: `label` names the rest."""

    label: str
    records: tuple[Record, ...]

    def interval(self, metric: str) -> StudentInterval | None:
        """Student interval of a metric over the seeds; None where a record lacks it."""
        values = [record["metrics"].get(metric) for record in self.records]
        return None if None in values else student_interval(values)

    @property
    def collapsed(self) -> bool:
        """Whether any seed's policy gives all images one budget."""
        return any(record["metrics"].get("collapsed") for record in self.records)


def done_records(records: list[Record]) -> list[Record]:
    """Records with results, all of one protocol.

    Raises:
        UserError: their protocols differ; names the field.
    """
    done = [record for record in records if record["status"] == "done"]
    require_one_protocol([record["protocol"] for record in done])
    return done


def is_policy(record: Record) -> bool:
    """A policy's allocation."""
    return record["settings"]["policy"] is not None


def is_elastic(record: Record) -> bool:
    """An elastic tokenizer's curve over fixed budgets."""
    return not is_policy(record) and len(record["settings"]["tokenizer"]["budgets"]) > 1


def is_fixed_length(record: Record) -> bool:
    """A tokenizer trained for one length."""
    return not is_policy(record) and not is_elastic(record)


def tokenizer_identity(record: Record) -> Any:
    """What two records of the same trained tokenizer have in common."""
    return [record["settings"][part] for part in ("data", "tokenizer", "training")]


def tokenizer_label(record: Record) -> str:
    """A short name of a tokenizer: its arm, and what was swept of it."""
    named = describe_sweep(record["swept"], under=("tokenizer.", "training."))
    return f"{record['arm']}, {named}" if named else record["arm"]


def policy_label(record: Record) -> str:
    """What distinguishes a policy among those on its tokenizer, without its seed."""
    named = describe_sweep(record["swept"], under=("policy.",), seeds=False)
    return f"{record['arm']}, {named}" if named else record["arm"]


def group_by_seed(records: list[Record]) -> list[Group]:
    """Repetitions of one experiment put together, in the order of the suite's cells."""
    groups: dict[str, list[Record]] = {}
    for record in records:
        groups.setdefault(record["group"], []).append(record)
    return [Group(label, tuple(members)) for label, members in groups.items()]
