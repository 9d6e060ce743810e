import threading

import pytest

from bench.errors import UserError
from bench.graph.nodes import Node
from bench.run import agenda as agenda_module
from bench.run.agenda import MOST_DAMAGED, Agenda
from bench.run.room import Candidate, Room
from bench.run.schedule import State
from bench.store.stage import Outcome, Resources, compute
from bench.store.store import Store


@pytest.fixture
def store(tmp_path):
    return Store.open(tmp_path)


def data(count, **resources):
    config = {"kind": "fluent_scenes", "resolution": 8, "count": count}
    return Node("data", config, {}, {}, Resources(**resources))


def sizes(images):
    return Node("png_sizes", {}, {"images": images}, {}, Resources())


def tokens(store, mean):
    """A stage that computes in no time, with a mean budget."""

    def function(context):
        (context.work / "x").write_text("x")
        return {"metrics": {"mean_tokens": mean}, "count": context.spec.config.get("count")}

    return function


def done(store, node, mean=4.0):
    return compute(store, node.spec(store), tokens(store, mean))


def run(agenda, store):
    """Compute all; the names in their order."""
    names = []
    while not agenda.finished and (spec := agenda.take()):
        names.append(spec.name)
        agenda.end(compute(store, spec, tokens(store, 4.0)))
    return names


def test_a_key_that_a_result_decides_and_one_that_another_node_has_as_well(store):
    """Both end as one stage: the mean of the sources is the budget of either."""
    sources = [data(1), data(2)]
    config = {"tokenizer": {"budgets": [8]}, "training": {}}
    twins = [
        Node("tokenizer", config, {"images": data(9)}, {}, Resources(), (source,))
        for source in sources
    ]
    images = [twin.inputs["images"] for twin in twins]
    order = [*sources, *images, *twins]
    agenda = Agenda(order, store, print)
    assert [twin.spec(store) for twin in twins] == [None, None]
    names = run(agenda, store)
    assert len(names) == len(set(names)) == 4
    assert twins[0].spec(store).key == twins[1].spec(store).key
    assert all(agenda.is_done(node) for node in order)


def test_a_failure_blocks_what_needs_it_and_nothing_else(store):
    first, other = data(1), data(2)
    second = sizes(first)
    agenda = Agenda([first, other, second, sizes(second)], store, print)
    taken = agenda.take()  # Of the longest chain.
    assert taken == first.spec(store)
    agenda.end(Outcome(taken.name, "failed", error="no"))
    assert (agenda.blocked, agenda.finished) == (2, False)
    assert run(agenda, store) == [other.spec(store).name]
    assert agenda.schedule.states[other] is State.DONE


def test_what_is_stopped_early_blocks_what_needs_it_and_is_no_failure(store):
    first, other = data(1), data(2)
    second = sizes(first)
    agenda = Agenda([first, other, second, sizes(second)], store, print)
    taken = agenda.take()
    agenda.end(Outcome(taken.name, "stopped early", error="at step 1 of 2"))
    # Whatever comes to it later and needs that one is blocked as well.
    late = sizes(second)
    agenda.add([late])
    assert agenda.schedule.states[late] is State.BLOCKED
    assert (agenda.blocked, agenda.finished) == (0, False)
    assert run(agenda, store) == [other.spec(store).name]


def test_more_comes_to_it_whenever_something_has_ended(store):
    nodes, asked = [data(count) for count in range(1, 6)], []
    done(store, nodes[2])

    def more(has_ended):
        ended = [has_ended(node) for node in nodes]
        asked.append(sum(ended))
        known = len(agenda_nodes)
        if known < 5 and all(ended[:known]):
            agenda_nodes.append(nodes[known])
            return [nodes[known]]
        if known == 5 and all(ended):
            raise UserError("what it is for is not there")
        return []

    agenda_nodes = [nodes[0]]
    agenda = Agenda(nodes[:1], store, print, more=more)
    # The third is there already: the fourth follows at once.
    assert run(agenda, store) == [nodes[n].spec(store).name for n in (0, 1, 3, 4)]
    assert str(agenda.error) == "what it is for is not there"


def test_an_input_that_is_gone_is_computed_again_first(store):
    first = data(1)
    last = sizes(first)
    done(store, first)
    agenda = Agenda([first, last], store, print)
    (store.artifact("data", first.spec(store).key) / "x").unlink()
    assert run(agenda, store) == [first.spec(store).name, last.spec(store).name]
    assert list(agenda.to_do) == [last, first]


def test_an_input_that_is_damaged_each_time_is_not_tried_for_ever(store):
    first = data(1)
    last = sizes(first)
    agenda = Agenda([first, last], store, print)
    tried = []
    while not agenda.finished:
        spec = agenda.take()
        tried.append(spec.stage)
        if spec.stage == "data":
            agenda.end(compute(store, spec, tokens(store, 4.0)))
        else:
            (store.artifact("data", first.spec(store).key) / "x").unlink()
            agenda.end(Outcome(spec.name, "failed", error="set aside", damaged=True))
    assert tried == ["data", "png_sizes"] * MOST_DAMAGED
    assert agenda.schedule.states[last] is State.FAILED


def test_a_worker_that_dies_is_tried_again_so_often(store):
    said, node = [], data(1)
    agenda = Agenda([node], store, said.append, retries=2)
    for _ in range(3):
        agenda.lost(agenda.take().name, "its node has gone", remedy="buy another")
    assert agenda.finished
    name = node.spec(store).name
    assert said == [
        f"  {name}: its node has gone; goes on from its checkpoint (retry {n} of 2)" for n in (1, 2)
    ]
    (outcome,) = agenda.outcomes
    assert outcome.error.startswith("its node has gone, 3 times; buy another; the same")
    assert store.failure("data", node.spec(store).key) == outcome.error


def test_fatal_ends_and_what_a_listener_refuses_end_the_run(store):
    agenda = Agenda([data(1), data(2)], store, print)
    agenda.end(Outcome(agenda.take().name, "failed", error="disk full", fatal=True))
    assert (str(agenda.error), agenda.finished, agenda.take()) == ("disk full", True, None)

    def refuse(outcome):
        raise UserError("too few images")

    agenda = Agenda([data(1), data(2)], store, print, ended=refuse)
    agenda.end(Outcome(agenda.take().name, "failed"))
    assert str(agenda.error) == "too few images"


def test_a_stage_that_stopped_ends_the_run_and_is_there_for_the_next(store):
    agenda = Agenda([data(1)], store, print)
    agenda.end(Outcome(agenda.take().name, "stopped"))
    assert (agenda.stopped, agenda.finished, agenda.take(), agenda.outcomes) == (
        True, False, None, [],
    )  # fmt: skip


def test_no_more_is_given_out_than_there_is_room_for(store):
    wide, narrow = data(1, cpus=2), data(2)
    agenda = Agenda([wide, narrow], store, print)
    room = Room(3, 0)
    for node in (narrow, wide):
        assert agenda.take(room) == node.spec(store)
        room.take(Candidate(node, node.resources, 1.0), 0.0)
    agenda = Agenda([wide], store, print)
    assert agenda.take(room) is None
    room.give_back(wide)
    assert agenda.take(room) == wide.spec(store)


def test_the_first_of_its_kind_tells_what_the_others_cost(store):
    nodes = [data(count) for count in (1, 2, 3)]
    agenda = Agenda(nodes, store, print)
    assert agenda.guessed == set(nodes)
    spec = agenda.take()
    assert spec == nodes[2].spec(store)  # It has the most images.
    agenda.end(compute(store, spec, tokens(store, 4.0)))
    took = store.description("data", spec.key)["seconds"]
    assert agenda.guessed == set()
    expected = [agenda.schedule.seconds[node] for node in nodes]
    assert expected == pytest.approx([took / 3, took * 2 / 3, took])


def test_nodes_may_come_while_others_run(store):
    first = data(1)
    agenda = Agenda([first], store, print)
    spec = agenda.take()
    agenda.add([first, late := sizes(first)])
    assert (agenda.take(), list(agenda.to_do)) == (None, [first, late])
    agenda.end(compute(store, spec, tokens(store, 4.0)))
    assert run(agenda, store) == [late.spec(store).name]


def test_what_another_run_does_not_end_is_computed_here(store, monkeypatch):
    monkeypatch.setattr(agenda_module, "SECONDS_BETWEEN_LOOKS", 0.0)
    said, node = [], data(1)
    agenda = Agenda([node], store, said.append)
    spec = node.spec(store)
    held = threading.Event()
    go = threading.Event()

    def hold():
        with store.locked(spec.name):
            held.set()
            go.wait(10)

    thread = threading.Thread(target=hold)
    thread.start()
    assert held.wait(10)
    assert [agenda.take(), agenda.take()] == [None, None]
    assert agenda.running[spec.name].elsewhere
    assert said == [f"  {spec.name} is being computed by another run"]
    go.set()
    thread.join()
    assert agenda.take() == spec
    agenda.end(Outcome(spec.name, "elsewhere"))  # It was faster than this run's worker.
    done(store, node)
    assert agenda.take() is None
    assert (agenda.outcomes[0].status, agenda.finished) == ("cached", True)
