import copy

import pytest
import ray

from bench.errors import UserError
from bench.run.cluster import nodes
from bench.run.cluster.nodes import about_here, look, require_alike, unlike


def test_builds_of_one_version_are_alike_and_what_differs_is_named():
    here = {"versions": {"torch": "2.13.0+cpu", "numpy": "2.4.6"}, "code": "a"}
    there = {"versions": {"torch": "2.13.0", "numpy": "2.4.6"}, "code": "a", "store": None}
    assert unlike(here, there) == []
    assert unlike(here, {**there, "code": "b"}) == [
        "has another state of adatok-bench's code than this machine"
    ]
    assert unlike(here, {**there, "versions": {"torch": "2.12.0", "ray": "2.60.0"}}) == [
        "has other packages than this machine: numpy missing (here 2.4.6), ray 2.60.0 (here "
        "missing), torch 2.12.0 (here 2.13.0+cpu)"
    ]
    assert unlike(here, {**there, "store": "does not see it"}) == ["does not see it"]


def test_a_node_sees_the_store_by_a_file_that_was_just_written(tmp_path):
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "token").touch()
    assert look(str(tmp_path), "token") == {**about_here(), "store": None}
    wrong = look(str(tmp_path), "another")["store"]
    assert wrong == f"does not see the store {tmp_path}; mount it there under the same path"


@pytest.fixture
def cluster(monkeypatch):
    """`cluster(answers)`: nodes that answer so, an exception or nothing among it."""

    def cluster(answers):
        known = [
            {
                "Alive": alive,
                "NodeID": f"{number + 1}" * 56,
                "NodeManagerHostname": f"gpu-{number}",
                "NodeManagerAddress": f"10.0.0.{number}",
            }
            for number, alive in enumerate([*(True for _ in answers), False])
        ]

        class Task:
            def options(self, *, scheduling_strategy, **more):
                self.node = scheduling_strategy.node_id
                return self

            def remote(self, root, token):
                return int(self.node[0]) - 1

        def get(number):
            if isinstance(answers[number], Exception):
                raise answers[number]
            return answers[number]

        def wait(refs, *, num_returns, timeout):
            silent = [ref for ref in refs if answers[ref] is None]
            return [ref for ref in refs if ref not in silent], silent

        monkeypatch.setattr(ray, "nodes", lambda: known)
        monkeypatch.setattr(ray, "remote", lambda function: Task())
        monkeypatch.setattr(ray, "wait", wait)
        monkeypatch.setattr(ray, "get", get)
        return known

    return cluster


def test_a_node_that_died_just_before_is_none_to_refuse(cluster, tmp_path, monkeypatch):
    monkeypatch.setattr(nodes.time, "sleep", lambda seconds: known[1].update(Alive=False))
    known = cluster([{**about_here(), "store": None}, RuntimeError("no such node")])
    require_alike(tmp_path)


def test_nodes_that_are_not_alike_are_refused_by_name_and_nothing_is_left(
    cluster, tmp_path, monkeypatch
):
    monkeypatch.setattr(nodes, "DEATH_SECONDS", 0.0)
    fine = {**about_here(), "store": None}
    cluster([fine, fine])
    require_alike(tmp_path)
    old = copy.deepcopy(fine)
    old["versions"]["torch"] = "1.0"
    cluster([fine, old, RuntimeError("trace\nNo module named 'bench'"), None])
    with pytest.raises(UserError) as refused:
        require_alike(tmp_path)
    first, second, last, advice = str(refused.value).split("; ")
    assert first.startswith("node gpu-1 (10.0.0.1, 22222222): has other packages")
    assert second == (
        "node gpu-2 (10.0.0.2, 33333333): cannot run adatok-bench (No module named 'bench')"
    )
    assert last == "node gpu-3 (10.0.0.3, 44444444): gives no answer"
    assert advice == "mend it, or take the node out of the cluster"
    assert not list((tmp_path / "work").iterdir())


def test_the_code_is_told_by_all_sources(monkeypatch, tmp_path):
    before = nodes.code_digest()
    assert nodes.code_digest() == before
    monkeypatch.setattr(nodes, "OURS", ("bench",))
    assert nodes.code_digest() != before
