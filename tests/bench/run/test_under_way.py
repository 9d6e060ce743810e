import pytest

from bench.graph.nodes import Node
from bench.run.agenda import Agenda
from bench.run.under_way import Left, Seen, UnderWay
from bench.store.progress import Teller, Told
from bench.store.stage import Outcome, Resources
from bench.store.store import Store


@pytest.fixture
def agenda(tmp_path):
    """A chain of two stages of 10 and 20 s, and one of 12 s beside it."""
    first, other = (Node("data", {"count": n}, {}, {}, Resources(n)) for n in (1, 2))
    last = Node("png_sizes", {}, {"images": first}, {}, Resources())
    agenda = Agenda([first, last, other], Store.open(tmp_path), print)
    agenda.guessed = set()
    agenda.schedule.reckon({first: 10.0, last: 20.0, other: 12.0})
    return agenda


def at(left):
    return Seen(Told(1, 2, "", seconds=1.0, seconds_left=left), left)


def test_the_time_left_is_that_of_the_critical_path_or_of_all_the_work(agenda):
    serial, wide, narrow = (UnderWay(agenda, room) for room in (None, (8.0, 0.0), (2.0, 0.0)))
    assert [one.left({}).seconds for one in (serial, wide, narrow)] == [42.0, 30.0, 30.0]
    spec = agenda.take()
    running = {spec.name: at(3.0)}
    assert [one.left(running).seconds for one in (serial, wide, narrow)] == [35.0, 23.0, 23.5]
    assert UnderWay(agenda, (1.0, 0.0)).left(running) == Left(47.0, False)


def test_what_is_not_known_is_more(agenda):
    agenda.guessed = set(agenda.nodes)
    assert UnderWay(agenda, None).left({}) == Left(0.0, True)
    spec = agenda.take()
    assert UnderWay(agenda, None).left({spec.name: at(3.0)}) == Left(3.0, True)


def test_stages_that_run_tell_how_far_they_are_or_are_expected_to_be(agenda):
    run = UnderWay(agenda, None)
    assert (run.total, run.ended, run.running()) == (3, 0, {})
    spec = agenda.take()
    (seen,) = run.running().values()
    assert seen.told is None
    assert seen.seconds_left == pytest.approx(10.0, abs=1.0)
    Teller(agenda.store.work(spec.stage, spec.key)).tell(3, 9)
    assert str(run.running()[spec.name].told) == "3/9"
    agenda.end(Outcome(spec.name, "failed"))
    assert (run.ended, run.running()) == (2, {})  # What needs it is blocked.
    other = agenda.take()
    agenda.running[other.name].nodes[0].config["count"] = 2
    agenda.schedule.reckon(dict.fromkeys(agenda.nodes, 0.0))
    assert run.running()[other.name].seconds_left is None  # Longer than expected.


def test_what_was_told_before_an_interruption_is_forgotten(agenda):
    run = UnderWay(agenda, None)
    spec = agenda.nodes[0].spec(agenda.store)
    Teller(agenda.store.work(spec.stage, spec.key)).tell(3, 9)
    assert agenda.take() == spec
    assert run.running()[spec.name].told is None
