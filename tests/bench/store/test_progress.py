import json
from dataclasses import replace

import pytest

from bench.store import progress
from bench.store.progress import Teller, Told, duration, read_progress


@pytest.fixture
def clock(monkeypatch):
    """Seconds by which both clocks are ahead."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(progress.time, "time", lambda: 1e9 + now[0])
    return now


def told(tmp_path, clock, calls):
    """What is read after each call `(at, done, total)`."""
    teller, seen = Teller(tmp_path), []
    for at, done, total in calls:
        clock[0] = at
        teller.tell(done, total, "steps")
        seen.append(read_progress(tmp_path))
    return seen


def test_at_most_once_a_second(tmp_path, clock):
    calls = [(100.0, 0, 5), (100.9, 1, 5), (101.0, 2, 5), (101.5, 3, 5), (102.5, 4, 5)]
    assert [str(one) for one in told(tmp_path, clock, calls)] == [
        "0/5 steps",
        "0/5 steps",
        "2/5 steps",
        "2/5 steps",
        "4/5 steps",
    ]


def test_the_pace_is_that_since_the_first_call(tmp_path, clock):
    first, second = told(tmp_path, clock, [(100.0, 500, 2000), (110.0, 600, 2000)])
    assert first.seconds_left is None
    assert second == Told(600, 2000, "steps", seconds=10.0, seconds_left=140.0, rate=10.0)
    assert (first.pace, second.pace) == ("", "10/s")
    paces = [replace(second, rate=rate).pace for rate in (2.5, 0.5, 0.01, 0.0001)]
    assert paces == ["2.5/s", "30/min", "36/h", "0.4/h"]


def test_time_that_passes_between_two_calls_counts(tmp_path, clock):
    told(tmp_path, clock, [(100.0, 0, 4), (110.0, 1, 4)])
    clock[0] = 115.0
    assert read_progress(tmp_path).seconds_left == 25.0
    assert read_progress(tmp_path).seconds == 15.0
    clock[0] = 500.0
    assert read_progress(tmp_path).seconds_left == 0.0


def test_another_total_is_another_task(tmp_path, clock):
    seen = told(tmp_path, clock, [(100.0, 0, 4), (110.0, 4, 4), (120.0, 1, 9), (124.0, 2, 9)])
    assert [one.seconds_left for one in seen] == [None, 0.0, None, 28.0]


def test_what_cannot_be_read_says_nothing(tmp_path):
    assert read_progress(tmp_path / "nowhere") is None
    for text in ("{", "[]", json.dumps({"done": 3, "total": 9, "note": "of an older version"})):
        (tmp_path / "progress.json").write_text(text)
        assert read_progress(tmp_path) is None


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (0.2, "1 s"),
        (59.0, "59 s"),
        (59.5, "1 min 0 s"),
        (80, "1 min 20 s"),
        (3599.5, "1 h 0 min"),
        (7500, "2 h 5 min"),
    ],
)
def test_durations_in_words(seconds, text):
    assert duration(seconds) == text
