"""`run` on a part of the images."""

import copy
import shutil

import pytest
import yaml

from bench.graph.suite_graph import build_graph
from bench.records.reading import read_suite
from bench.suite.expansion import Taken
from bench.suite.loading import load_suite


@pytest.fixture
def curve(external, tmp_path):
    path = tmp_path / "suite.yaml"
    path.write_text(yaml.safe_dump({**external, "arms": external["arms"][:1]}))
    return path


def test_a_part_stands_beside_the_whole(adatok, external_run, curve, tmp_path):
    store = tmp_path / "store"
    shutil.copytree(external_run.store.root, store)
    account = (store / "records" / "external" / "runs.jsonl").read_bytes()
    run = ("run", curve, "--executor", "serial", "--store", store)
    untracked = ("--tracking-uri", "sqlite:////dev/null/mlflow.db")
    answer = adatok(*run, "--limit", 6, *untracked)
    assert answer.code == 0, answer.err
    assert "results go by the name external@6" in answer.err
    assert (store / "records" / "external" / "runs.jsonl").read_bytes() == account
    (part,) = read_suite(store / "records" / "external@6").records
    assert (part.protocol.images_count, part.protocol.selection) == (6, {"limit": 6})
    assert part.settings["data"]["limit"] == 6
    whole = external_run.record("curve")
    assert "selection" not in whole.protocol.plain()
    assert whole.protocol_hash != part.protocol_hash
    answer = adatok("compare", "external:curve", "external@6:curve", "--store", store)
    assert answer.code == 2
    assert "not comparable: protocol field" in answer.err
    table = adatok("results", "external@6", "--store", store).out.splitlines()
    place = table[0].index(" n ") + 1
    assert table[1][place] == "6"
    assert " n " not in adatok("results", "external", "--store", store).out.splitlines()[0]


def test_what_needs_more_images_is_refused(adatok, external, tmp_path):
    path = tmp_path / "suite.yaml"
    path.write_text(yaml.safe_dump(external))
    answer = adatok(
        "run", path, "--limit", 3, "--executor", "serial", "--store", tmp_path / "store"
    )
    assert answer.code == 2
    assert "3 validation images do not fill two blocks of 2" in answer.err


def test_lists_count_by_content(curve, tmp_path):
    def key(text, name):
        (tmp_path / name).write_text(text)
        suite = load_suite(curve, Taken.of(None, str(tmp_path / name)))
        return suite.name, suite.cells[0].key

    first = key("validation/000001\nvalidation/000000\n", "a.txt")
    assert key("validation/000000\n\n validation/000001", "b.txt") == first
    assert first[0].startswith("external@ids-")
    assert key("validation/000000\n", "a.txt") not in ((first[0], None), first)
    assert key("validation/000000\n", "c.txt")[1] != first[1]


def test_a_suite_may_say_it_itself(external, curve, load, refusal):
    (of_command,) = load_suite(curve, Taken(limit=6)).cells
    # The bank of a policy takes what there is, where the command says so.
    assert of_command.config.bank.policy_images == 6
    own = copy.deepcopy({**external, "arms": external["arms"][:1]})
    own["base"]["data"]["limit"] = 6
    assert "20 exceeds the 6 training images" in refusal(own)
    own["base"]["bank"]["policy_images"] = 6
    suite = load(own, "own.yaml")
    assert suite.name == "external"
    assert suite.cells[0].key == of_command.key


def test_without_one_there_is_no_trace(curve):
    suite = load_suite(curve)
    assert not {"limit", "ids", "undivided"} & suite.cells[0].settings["data"].keys()
    (data,) = (node for node in build_graph(suite).order() if node.stage == "data")
    assert not {"limit", "ids", "undivided"} & data.config.keys()
    assert data.runtime == {}


def test_a_list_that_is_another_one_is_refused(external, refusal, tmp_path):
    (tmp_path / "ids.txt").write_text("validation/000000\n")
    ids = {"file": str(tmp_path / "ids.txt"), "sha256": "0" * 64}
    data = {**external["base"]["data"], "ids": ids}
    content = {**external, "base": {**external["base"], "data": data}}
    assert "is another list" in refusal(content)
    content["base"]["data"] = {**data, "ids": "nothing.txt"}
    assert "data.ids: cannot read nothing.txt" in refusal(content)
    content["base"]["data"] = {**data, "ids": None, "limit": 0}
    assert "limit" in refusal(content)
