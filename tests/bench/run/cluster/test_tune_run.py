import json

import pytest
from ray.tune.search import Searcher

from bench.errors import UserError
from bench.graph.nodes import Node
from bench.run.agenda import Agenda
from bench.run.cluster import tune_run
from bench.run.cluster.notes import STOP
from bench.run.cluster.tune_run import Flow, OverError, asked_of_ray, why_lost
from bench.store.stage import Outcome, Resources, StageSpec
from bench.store.stopping import Stopping
from bench.store.store import Store


class Notes(dict):
    write = dict.__setitem__
    read = dict.get

    def remove(self, name):
        self.pop(name, None)


class Session:
    room, memory = (2.0, 0.0), 8e9
    error = None

    def __init__(self):
        self.largest = {"CPU": 2.0, "GPU": 0.0, "memory": 8e9}

    def count(self):
        pass

    def require_alive(self):
        if self.error:
            raise self.error


@pytest.fixture
def flow(tmp_path):
    """Three stages on two CPUs; each may be tried again once."""
    nodes = [Node("data", {"count": n}, {}, {}, Resources()) for n in range(3)]
    agenda = Agenda(nodes, Store.open(tmp_path), lambda line: None, retries=1)
    return Flow(agenda, Session(), Notes(), Stopping())


def fail(flow, name):
    flow.end(name, Outcome(name, "failed"))


def test_as_many_are_suggested_as_there_is_room_for_and_then_no_more(flow):
    first, second = flow.next(), flow.next()
    assert {first["cpus"], second["cpus"]} == {1}
    assert StageSpec.from_json(json.loads(flow.notes[f"spec/{first['name']}"])) == (
        flow.agenda.running[first["name"]].spec
    )
    assert flow.next() is None
    fail(flow, first["name"])
    third = flow.next()
    assert third["name"] not in (first["name"], second["name"])
    for one in (second, third):
        assert flow.next() is None
        fail(flow, one["name"])
    assert flow.next() == Searcher.FINISHED
    assert not flow.notes


def test_an_error_is_the_stages_and_a_death_is_not(flow):
    first, second = flow.next(), flow.next()
    flow.fail(first["name"], "\x1b[36mray::A.train()\x1b[39m (pid=1)\n  ...\nValueError: no\n")
    (outcome,) = flow.agenda.outcomes
    assert (outcome.status, outcome.error) == ("failed", "ValueError: no")
    flow.fail(second["name"], "The actor died unexpectedly before finishing this task.\n")
    assert len(flow.agenda.outcomes) == 1
    names = {flow.next()["name"], flow.next()["name"]}
    assert second["name"] in names
    flow.notes.write(f"end/{second['name']}", "terminated")
    flow.fail(second["name"], "")
    assert flow.agenda.outcomes[-1].error.startswith("its worker process was terminated, 2 times")
    assert f"end/{second['name']}" not in flow.notes


def test_a_signal_has_the_trials_stop_and_starts_no_more(flow, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(tune_run.time, "monotonic", lambda: now[0])
    first, second = flow.next(), flow.next()
    assert flow.stopping.heeded
    flow.stopping.ask()
    assert flow.next() is None
    assert STOP in flow.notes
    flow.end(first["name"], Outcome(first["name"], "stopped"))
    assert flow.next() is None  # One still runs, though there is room.
    now[0] = tune_run.STOPPING_SECONDS + 1
    with pytest.raises(OverError):
        flow.look()
    flow.fail(second["name"], "")
    now[0] = 0.0
    assert flow.next() == Searcher.FINISHED
    assert flow.agenda.outcomes == []


def test_an_error_of_the_run_stops_what_runs(flow):
    first, _ = flow.next(), flow.next()
    flow.end(first["name"], Outcome(first["name"], "failed", error="disk full", fatal=True))
    assert flow.next() is None
    assert STOP in flow.notes
    flow.session.error = UserError("Ray has died")
    with pytest.raises(UserError, match="Ray has died"):
        flow.look()


def test_nodes_that_come_and_go_make_room_or_take_it(flow, monkeypatch):
    flow.next(), flow.next()
    assert flow.next() is None
    flow.session.room = (3.0, 0.0)
    monkeypatch.setattr(tune_run, "SECONDS_BETWEEN_COUNTS", -1.0)
    assert flow.next() is not None
    said = []
    flow.agenda.say = said.append
    flow.session.largest = {"CPU": 0.5, "GPU": 0.0, "memory": 8e9}
    flow.look()
    flow.look()
    assert len(said) == 3
    assert said[0].endswith("waits for a node with 1 CPUs and 0 GPUs: there is none now")


@pytest.mark.parametrize(
    ("error", "note", "words"),
    [
        ("", "terminated; it has saved a checkpoint", "its worker process was terminated; it has"),
        ("", "ended: out of memory, it took 9.10 GB", "was ended: out of memory, it took 9.10 GB"),
        ("1 worker(s) were killed due to the node running low on memory. Memory on the node", None,
         "its worker process was killed: out of memory"),
        ("The actor died because its node has died. Node Id: 1f", None, "its node has gone"),
        ("The actor is dead because its worker process has died. Worker exit type: SYSTEM_ERROR "
         "Worker exit detail: Worker unexpectedly exits with a connection error code 2.", None,
         "its worker process has died (killed, perhaps out of memory, or with its node)"),
    ],
)  # fmt: skip
def test_the_reason_of_a_death_in_words_and_what_to_do(error, note, words):
    reason, remedy = why_lost(error, note, stage="bank")
    assert words in reason
    memory = "out of memory" in reason and "perhaps" not in reason
    assert ("resources.bank.memory_gb" in remedy) == memory
    assert ("raise resources.bank.memory_gb" in remedy) == ("9.10 GB" in reason)


def test_memory_that_is_asked_for_is_kept_free_and_named_where_it_lasts(flow):
    node = Node("data", {"count": 9}, {}, {}, Resources(memory_gb=5.0))
    flow.agenda.add([node, Node("data", {"count": 10}, {}, {}, Resources(memory_gb=5.0))])
    flow.session.largest["memory"] = 4e9
    flow.room.cpus = 9.0
    given = [flow.next() for _ in range(5)]
    assert given[-1] is None  # Two of 5 GB are more than the 8 there are.
    (one,) = (one for one in given if one and "memory" in one)
    assert one["memory"] == 5_000_000_000
    assert asked_of_ray(one).bundles == [{"CPU": 1.0, "memory": 5e9}]
    said = []
    flow.agenda.say = said.append
    flow._tell_of_waiting()
    assert said[0].endswith("waits for a node with 1 CPUs and 0 GPUs and 5 GB: there is none now")
    for _ in range(2):
        flow.notes.write(f"end/{one['name']}", "ended: out of memory, it took 5.20 GB")
        flow.fail(one["name"], "")
        if not flow.agenda.outcomes:
            assert flow.next()["name"] == one["name"]
    assert flow.agenda.outcomes[-1].error == (
        "its worker process was ended: out of memory, it took 5.20 GB, 2 times; raise "
        "resources.data.memory_gb, or give the stage less at a time (batch); the same command goes "
        "on from its checkpoint"
    )
