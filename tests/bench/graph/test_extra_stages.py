from dataclasses import dataclass

import pytest

from bench.errors import UserError
from bench.graph.suite_graph import build_graph
from bench.stages import STAGES, Stage
from bench.store.store import Store


@dataclass(frozen=True, kw_only=True)
class Settings:
    strength: float = 1.0


@pytest.fixture
def bring(monkeypatch):
    """`bring(*inputs)`: as a package that brings the stage `own` with these inputs."""
    monkeypatch.setattr(STAGES, "_entries", dict(STAGES._entries))

    def bring(*inputs, **changes):
        given = {"run": dict, "settings": Settings, **changes}
        STAGES.add("own", Stage(name="own", version=1, inputs=inputs, **given))

    return bring


POLICY = {"candidates": [1, 2, 4], "steps": 1}


@pytest.fixture
def cells(load, small):
    """`cells(extra, ...)`: a suite of cells with a policy and these `extra`, and its graph."""

    def cells(*extras, policy=POLICY):
        arms = []
        for number, extra in enumerate(extras):
            asked = {} if extra is None else {"extra": extra}
            arms.append({"name": f"arm {number}", "set": {"policy": policy, **asked}})
            arms[-1]["set"]["bank.batch"] = number + 1
        suite = load({**small, "arms": arms})
        return suite, build_graph(suite)

    return cells


def test_a_stage_gets_what_it_asks_for(bring, cells, tmp_path):
    bring("images", "tokenizer", "bank", "training_bank", "policy", "evaluation", device=True)
    _, graph = cells({"own": {"strength": 2}})
    (evaluation,), ((own,),) = graph.evaluations, graph.extras
    assert own.config == {"strength": 2.0}
    assert own.inputs == {
        "images": evaluation.inputs["images"],
        "tokenizer": evaluation.inputs["tokenizer"],
        "bank": evaluation.inputs["bank"],
        "training_bank": evaluation.inputs["policy"].inputs["bank"],
        "policy": evaluation.inputs["policy"],
        "evaluation": evaluation,
    }
    assert graph.ends == [(evaluation, own)]
    assert graph.order()[-1] is own
    assert own.spec(Store(tmp_path)).key


def test_cells_without_extras_are_as_they_were(bring, cells, tmp_path):
    bring("images")
    plain, before = cells(None)
    suite, graph = cells(None, {"own": {}})
    assert suite.cells[0].key == plain.cells[0].key
    assert "extra" not in suite.cells[0].settings
    store = Store(tmp_path)
    assert graph.evaluations[0].spec(store).key == before.evaluations[0].spec(store).key
    assert graph.extras[0] == ()
    empty, _ = cells({})
    assert empty.cells[0].key == plain.cells[0].key


def test_defaults_are_part_of_a_cells_key(bring, cells):
    bring("images")
    keys = [cells({"own": asked})[0].cells[0].key for asked in ({}, {"strength": 1.0})]
    assert keys[0] == keys[1] != cells({"own": {"strength": 2.0}})[0].cells[0].key


def test_what_cannot_be_given_is_refused(bring, cells, monkeypatch):
    bring("image")
    with pytest.raises(UserError, match=r"'arm 0': extra\.own: .*'image'; did you mean 'images'\?"):
        cells({"own": {}})
    monkeypatch.setattr(
        STAGES, "_entries", {k: v for k, v in STAGES._entries.items() if k != "own"}
    )
    bring("policy")
    with pytest.raises(UserError, match=r"extra\.own: needs a policy, which the cell lacks"):
        cells({"own": {}}, policy=None)


def test_settings_are_checked(bring, cells, monkeypatch):
    bring("images")
    with pytest.raises(UserError, match=r"extra\.own: strenth: unknown key; did you mean"):
        cells({"own": {"strenth": 2}})
    monkeypatch.setattr(
        STAGES, "_entries", {k: v for k, v in STAGES._entries.items() if k != "own"}
    )
    bring("images", settings=None)
    with pytest.raises(UserError, match=r"extra\.own: takes no settings; give \{\}$"):
        cells({"own": {"strength": 2}})
