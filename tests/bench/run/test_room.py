import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.run.room import Candidate, Room, simulate
from bench.run.schedule import Schedule
from bench.store.stage import Resources


@st.composite
def graphs(draw, most=24):
    """Needs, seconds, CPUs and GPUs of up to so many items."""
    count = draw(st.integers(1, most))
    needs = {
        number: draw(st.sets(st.integers(0, number - 1), max_size=3)) if number else set()
        for number in range(count)
    }
    seconds = {number: float(draw(st.integers(1, 20))) for number in needs}
    asks = {
        number: Resources(draw(st.integers(1, 3)), draw(st.sampled_from([0.0, 0.0, 0.5, 1.0])))
        for number in needs
    }
    return needs, seconds, asks


def longest(needs, seconds):
    ends = {}
    for item, of in needs.items():
        ends[item] = seconds[item] + max((ends[need] for need in of), default=0.0)
    return max(ends.values())


@settings(max_examples=60, deadline=None)
@given(graphs(), st.integers(1, 4), st.sampled_from([0.0, 1.0, 2.0]))
def test_each_runs_once_behind_what_it_needs_and_never_on_more_than_there_is(graph, cpus, gpus):
    needs, seconds, asks = graph
    spans = simulate(Schedule(needs, seconds), asks, Room(cpus, gpus))
    assert spans.keys() == needs.keys()
    for item, of in needs.items():
        assert spans[item].end - spans[item].start == pytest.approx(seconds[item])
        assert all(spans[need].end <= spans[item].start for need in of)
    for moment in {span.start for span in spans.values()}:
        now = [item for item, span in spans.items() if span.start <= moment < span.end]
        assert sum(min(asks[item].cpus, cpus) for item in now) <= cpus
        assert sum(min(asks[item].gpus, gpus) for item in now) <= gpus + 1e-6
    assert max(span.end for span in spans.values()) >= longest(needs, seconds) - 1e-6


@settings(max_examples=60, deadline=None)
@given(graphs(), st.integers(1, 5))
def test_one_cpu_each_ends_within_grahams_bound(graph, cpus):
    needs, seconds, _ = graph
    asks = dict.fromkeys(needs, Resources())
    spans = simulate(Schedule(needs, seconds), asks, Room(cpus, 0))
    path, work = longest(needs, seconds), sum(seconds.values())
    found = max(span.end for span in spans.values())
    assert max(path, work / cpus) - 1e-6 <= found <= work / cpus + (1 - 1 / cpus) * path + 1e-6


def room_with(*running, cpus, gpus=0.0):
    room = Room(cpus, gpus)
    for number, (asks, seconds) in enumerate(running):
        room.take(Candidate(number, asks, seconds), 0.0)
    return room


def test_what_fits_goes_before_what_does_not_unless_it_would_keep_it_waiting():
    big, small = Resources(4), Resources(1)
    room = room_with((Resources(2), 10.0), (small, 50.0), cpus=4)
    wide = Candidate("wide", Resources(3), 5.0)  # Has its room in 10 s.
    assert room.choose([wide, Candidate("quick", small, 10.0)], 0.0).item == "quick"
    assert room.choose([wide, Candidate("slow", small, 11.0)], 0.0) is None
    whole = Candidate("whole", big, 5.0)
    assert room.choose([whole, Candidate("slow", small, 49.0)], 0.0).item == "slow"
    # A GPU is what it waits for: CPUs beside it are free for all.
    room = room_with((Resources(1, 1.0), 100.0), cpus=4, gpus=1.0)
    gpu = Candidate("gpu", Resources(1, 1.0), 5.0)
    assert room.choose([gpu, Candidate("cpu", Resources(2), 1000.0)], 0.0).item == "cpu"
    assert room.choose([gpu, Candidate("cpus", Resources(3), 101.0)], 0.0).item == "cpus"
    assert Room(2, 0).choose([Candidate("all", Resources(64), 1.0)], 0.0).item == "all"
    assert math.isinf(room._held_for((9.0, 0.0, 0.0))[0])


def test_shares_of_gpus_add_up():
    asks = {number: Resources(1, 0.5) for number in range(3)}
    needs, seconds = {number: [] for number in range(3)}, dict.fromkeys(range(3), 4.0)

    def took(cpus, gpus):
        spans = simulate(Schedule(needs, seconds), asks, Room(cpus, gpus))
        return max(span.end for span in spans.values())

    assert (took(8, 1), took(8, 2), took(2, 2)) == (8.0, 4.0, 8.0)
