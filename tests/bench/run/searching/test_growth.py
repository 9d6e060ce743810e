import copy

import pytest

from bench.artifacts.bank import TOKENIZER_WEIGHTS
from bench.errors import UserError
from bench.graph.suite_graph import build_graph
from bench.records.reading import read_records
from bench.run.executors import SerialExecutor
from bench.run.planning.plan import plan_suite, plan_totals
from bench.run.runner import run_suite
from bench.run.searching.growth import Growth, judged
from bench.search.drawing import Tried
from bench.search.halving import Halving
from bench.search.trials import Drawn, read_trials
from bench.stages.training import checkpointing
from bench.store.curve import CurveWriter
from bench.store.store import Store
from bench.suite.loading import load_suite

SEARCH = {
    "algorithm": "optuna",
    "samples": 5,
    "metric": {"mse": "minimize"},
    "space": {
        "training.learning_rate": {"loguniform": [1e-4, 3e-2]},
        "tokenizer.width": {"choice": [8, 16]},
    },
    "startup": 3,
    "pending": 2,
}
STOP = {"scheduler": "asha", "metric": "mse", "grace": 10, "reduction": 2}


class KilledError(BaseException):
    """Nothing catches it: the store is left as a kill would leave it."""


def run(path, store):
    said = []
    suite = load_suite(path, store=store.root)
    graph = build_graph(suite)
    result = run_suite(suite, graph, store, SerialExecutor(store), say=said.append)
    return result, graph, said


@pytest.fixture
def suite(load, small):
    """The path of a suite with one arm, that is searched with an early end."""
    content = copy.deepcopy(small)
    content["base"]["data"]["validation"] = 16
    content["arms"] = [{"name": "a", "search": SEARCH, "stop_early": STOP}]
    return load(content).path, content


def test_a_search_that_is_killed_again_and_again_ends_with_the_same_trials(
    suite, load, tmp_path, monkeypatch
):
    path, content = suite
    whole, killed = Store.open(tmp_path / "whole"), Store.open(tmp_path / "killed")
    result, graph, said = run(path, whole)
    states = [record.status for record in result.records]
    assert len(states) == 5
    assert {"done", "stopped"} == set(states)
    assert not result.failed
    assert any("stopped early after" in line and "of 40, with mse" in line for line in said)
    assert not any("what they need has failed" in line for line in said)

    calls, written, saved = [0], CurveWriter.write, checkpointing.save_state

    def write(self, history):
        calls[0] += 1
        if calls[0] % 6 == 0:
            raise KilledError
        written(self, history)

    def save(*given):
        saved(*given)
        if calls[0] % 2:
            calls[0] += 1
            raise KilledError

    monkeypatch.setattr(CurveWriter, "write", write)
    monkeypatch.setattr(checkpointing, "save_state", save)
    kills = 0
    while True:
        try:
            again, _, _ = run(path, killed)
            break
        except KilledError:
            kills += 1
    monkeypatch.undo()
    assert kills > 2
    (name,) = (one.name for one in load_suite(path).searches)
    assert len(read_trials(whole.root, name)) == 5
    assert read_trials(killed.root, name) == read_trials(whole.root, name)
    (race,) = (one.stem for one in (whole.root / "halving").iterdir())
    assert Halving(killed, race).judged() == Halving(whole, race).judged()
    assert [r.cell_key for r in again.records] == [r.cell_key for r in result.records]
    assert [r.metrics.value("mse") for r in again.records] == [
        r.metrics.value("mse") for r in result.records
    ]

    _as_it_is_shown(path, whole, result)
    _promoted(content, load, graph, whole, tmp_path)


def _as_it_is_shown(path, store, result):
    """Stopped cells are so in the plan and the records, and cost nothing any more."""
    stopped = next(record for record in result.records if record.stopped)
    assert stopped.error.startswith("tokenizer: stopped early at step ")
    assert stopped.stop_early.stopped_at == stopped.stop_early.rungs[-1].step
    assert stopped.search.objectives == {"mse": "minimize"}
    assert [record.search.trial for record in result.records] == list(range(5))
    assert {r.cell_key for r in read_records(store.root / "records" / "small")} == {
        record.cell_key for record in result.records
    }
    suite = load_suite(path, store=store.root)
    assert len(suite.cells) == 5
    rows = plan_suite(suite, build_graph(suite), store)
    assert {row["state"] for row in rows} == {"cached", "stopped"}
    assert plan_totals(rows, cpus=1, gpus=0)["stages"] == 0
    again, _, said = run(path, store)
    assert again.computed == 0
    assert [r.status for r in again.records] == [r.status for r in result.records]
    assert not any("tokenizer" in line for line in said)


def _promoted(content, load, graph, store, tmp_path):
    """Without the rule a stopped training goes on from its checkpoint, bit for bit."""
    node = next(n for n in graph.order() if n.stage == "tokenizer" and n.stopped(store))
    stopped_at = node.stopped(store).step
    (cell, *_) = (
        cell for cell, end in zip(graph.cells, graph.evaluations, strict=True)
        if node in end.inputs.values()
    )  # fmt: skip
    arm = {"name": "b", "set": cell.swept}
    other = {"name": "a", "set": cell.swept, "stop_early": STOP}
    fresh = Store.open(tmp_path / "fresh")
    # An arm that needs all of the training has it, whatever the other one says.
    promoted, _, _ = run(load({**content, "arms": [arm]}, "b.yaml").path, store)
    both = {**content, "arms": [other, {**arm, "set": {**cell.swept, "evaluation.seed": 1}}]}
    undisturbed, _, _ = run(load(both, "both.yaml").path, fresh)
    assert [r.status for r in (*promoted.records, *undisturbed.records)] == ["done"] * 3
    spec = node.spec(store)
    weights = [s.artifact(spec.stage, spec.key) / TOKENIZER_WEIGHTS for s in (store, fresh)]
    assert weights[0].read_bytes() == weights[1].read_bytes()
    history = promoted.records[0].histories
    assert history == undisturbed.records[0].histories
    assert stopped_at < 40
    assert store.description(spec.stage, spec.key)["attempts"][1:]


def test_settings_that_are_no_cell_are_trials_that_have_failed(load, small, tmp_path):
    """Two heads take even widths: of each other number drawn there is no cell; 16 is arm b's."""
    space = {"tokenizer.width": {"int": [8, 30]}}
    search = {**SEARCH, "samples": 12, "space": space, "startup": 1, "pending": 1, "seed": 1}
    path = load({**small, "arms": [{"name": "a", "search": search}, {"name": "b"}]}).path
    store, said = Store.open(tmp_path / "store"), []
    suite = load_suite(path)
    graph = build_graph(suite)
    (one,) = suite.searches
    growth = Growth(suite, graph, store, said.append)
    assert len(read_trials(store.root, one.name)) == len(one.drawn) == 1
    assert growth.more(lambda node: False) == []
    nodes = growth.more(lambda node: True)
    drawn = read_trials(store.root, one.name)
    refused = {one.settings["tokenizer.width"]: one.refused for one in drawn if one.refused}
    assert len(drawn) == 12
    assert 1 < len(refused) == len(said)
    assert "the same cell as 'b'" in refused.pop(16)
    assert all("attention_heads: 2 must divide the width" in words for words in refused.values())
    assert all(width % 2 for width in refused)
    assert graph.evaluations[-1] in nodes
    assert len(graph.cells) == len(drawn) - len(said) + 1
    again = load_suite(path, store=store.root)
    assert {cell.key for cell in again.cells} == {cell.key for cell in graph.cells}
    assert [cell.arm for cell in again.cells][-1] == "b"


def test_what_a_trial_has_come_to_is_the_mean_of_its_cells(load, small, made_record):
    content = {
        **small,
        "arms": [{"name": "a", "search": {**SEARCH, "metric": {"mse": "minimize"}}}],
    }
    (one,) = load(content).searches
    drawn = Drawn({"x": 1})
    done = [made_record(metrics={"mse": value}) for value in (0.1, 0.2)]
    stopped, failed = made_record(status="stopped"), made_record(status="failed", error="no")
    assert judged(one, drawn, done).values == (pytest.approx(0.15),)
    assert judged(one, drawn, [*done, failed]).state == "failed"
    assert judged(one, drawn, [*done, failed, stopped]) == Tried({"x": 1}, "stopped")
    assert judged(one, Drawn({"x": 1}, "is no cell"), []).state == "failed"
    with pytest.raises(UserError, match=r"search\.metric: no cell has 'mse'; there are psnr"):
        judged(one, drawn, [made_record(metrics={"psnr": 20.0})])
