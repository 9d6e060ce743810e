from hypothesis import given, settings
from hypothesis import strategies as st

from bench.run.schedule import Schedule, State


@st.composite
def graphs(draw, most=24):
    """Needs and seconds of up to so many items."""
    count = draw(st.integers(1, most))
    needs = {
        number: draw(st.sets(st.integers(0, number - 1), max_size=3)) if number else set()
        for number in range(count)
    }
    return needs, {number: float(draw(st.integers(1, 20))) for number in needs}


@settings(max_examples=60, deadline=None)
@given(graphs(), st.data())
def test_whatever_fails_dies_or_gets_lost_it_comes_to_an_end(graph, data):
    needs, seconds = graph
    schedule, failed, runs = Schedule(needs, seconds), set(), 0
    while not schedule.finished:
        item = next(schedule.ready())
        assert all(schedule.states[need] is State.DONE for need in needs[item])
        schedule.start(item)
        runs += 1
        what = (
            data.draw(st.sampled_from(["done", "failed", "died", "lost"])) if runs < 40 else "done"
        )
        if what == "failed":
            schedule.fail(item)
            failed.add(item)
        elif what == "died":
            schedule.again(item)
        else:
            schedule.finish(item)
            if what == "lost":
                schedule.undo(item)
    assert next(schedule.ready(), None) is None
    blocked = set(failed)
    for item, of in needs.items():
        if blocked & of:
            blocked.add(item)
    done = {item for item, state in schedule.states.items() if state is State.DONE}
    assert done == needs.keys() - blocked


def test_the_longest_chain_goes_first_and_what_comes_early_before_it():
    needs = {"short": [], "long": [], "longer": ["long"], "early": ["first"], "first": []}
    needs = {name: needs[name] for name in ("short", "first", "long", "longer", "early")}
    seconds = {"short": 5.0, "first": 1.0, "long": 2.0, "longer": 4.0, "early": 1.0}
    assert [*Schedule(needs, seconds).ready()] == ["long", "short", "first"]
    schedule = Schedule(needs, seconds, first=["early"])
    assert [*schedule.ready()] == ["first", "long", "short"]
    schedule.reckon({**seconds, "short": 9.0})
    assert [*schedule.ready()] == ["first", "short", "long"]
    assert schedule.critical_path() == ["short"]
    assert Schedule(needs, seconds).critical_path() == ["long", "longer"]
    assert Schedule(needs, seconds).seconds_left({"long": 0.5}) == 5.0


def test_what_comes_while_others_run_finds_them_as_they_are():
    needs = {"done": [], "failed": [], "open": []}
    schedule = Schedule(needs, dict.fromkeys(needs, 1.0))
    schedule.finish("done")
    schedule.fail("failed")
    late = {"ready": ["done"], "blocked": ["failed", "done"], "behind": ["open", "ready"]}
    schedule.add(late, {"ready": 5.0, "blocked": 1.0, "behind": 1.0})
    assert [*schedule.ready()] == ["ready", "open"]
    assert schedule.rank["open"] == 2.0
    assert schedule.states["blocked"] is State.BLOCKED
    for item in ("ready", "open", "behind"):
        assert not schedule.finished
        schedule.start(item)
        schedule.finish(item)
    assert schedule.finished
