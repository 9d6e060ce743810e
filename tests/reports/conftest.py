import copy

import pytest


@pytest.fixture
def records(small_run):
    """The small run's records: two policies, their tokenizer, one fixed length, two failures."""
    return copy.deepcopy(small_run.result.records)


@pytest.fixture
def done(records):
    return [record for record in records if record["status"] == "done"]


@pytest.fixture
def vary():
    """`vary(record, **changes)`: a copy with other metrics, settings by dotted path, or labels."""

    def vary(record, *, metrics=(), settings=(), **changes):
        record = {**copy.deepcopy(record), **changes}
        record["metrics"] |= dict(metrics)
        for path, value in dict(settings).items():
            *parents, last = path.split(".")
            place = record["settings"]
            for name in parents:
                place = place[name]
            place[last] = value
        return record

    return vary
