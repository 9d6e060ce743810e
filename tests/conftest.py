import os
import signal
from dataclasses import dataclass

# Before torch is imported: two threads on two busy cores spin more than they compute.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
import small_suites
import yaml

from bench.commands import cli
from bench.graph.nodes import Graph
from bench.graph.suite_graph import build_graph
from bench.records.reading import read_suite
from bench.run.executors import SerialExecutor
from bench.run.runner import RunResult, run_suite
from bench.store.store import Store
from bench.suite.loading import Suite, load_suite

# What a shell runs in the background ignores Ctrl-C, which tests send to what they start.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def small():
    """The content of a suite that computes within seconds; one of its tokenizers diverges."""
    return small_suites.suite(small_suites.SMALL)


@pytest.fixture
def load(tmp_path):
    """`load(content, name="suite.yaml")`: the suite of this content, by way of a file."""

    def load(content, name="suite.yaml"):
        path = tmp_path / name
        path.write_text(yaml.safe_dump(content, sort_keys=False))
        return load_suite(path)

    return load


@dataclass(frozen=True)
class SmallRun:
    """A finished run; tests that change its store take a copy."""

    suite: Suite
    graph: Graph
    store: Store
    result: RunResult
    said: list[str]

    def record(self, label):
        (record,) = (r for r in self.result.records if r.label == label)
        return record

    def content(self, label):
        """The plain values in the file of a cell's record."""
        return self.record(label).plain()

    def spec(self, label, path=""):
        """A cell's evaluation, or what it is made from: `bank/tokenizer`, `policy/bank`, ..."""
        labels = [cell.label for cell in self.suite.cells]
        node = self.graph.evaluations[labels.index(label)]
        for name in path.split("/") if path else ():
            node = node.inputs[name]
        return node.spec(self.store)

    def artifact(self, label, path=""):
        spec = self.spec(label, path)
        return self.store.artifact(spec.stage, spec.key)


@pytest.fixture(scope="session")
def finish(tmp_path_factory):
    """`finish(content)`: the finished run of a suite of this content; as people do it if told."""

    def finish(content, *, command_line=False):
        folder = tmp_path_factory.mktemp(content["suite"])
        path = folder / "suite.yaml"
        path.write_text(yaml.safe_dump(content, sort_keys=False))
        suite = load_suite(path)
        store = Store.open(folder / "store")
        graph = build_graph(suite)
        said = []
        if command_line:
            _command("run", path, "--store", store.root, "--executor", "serial")
            records = read_suite(store.root / "records" / suite.name).records
            result = RunResult(records, [], 0)
        else:
            result = run_suite(suite, graph, store, SerialExecutor(store), say=said.append)
        return SmallRun(suite, graph, store, result, said)

    return finish


def _command(*arguments):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["adatok-bench", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
    assert not stop.value.code


@pytest.fixture(scope="session")
def small_run(finish):
    return finish(small_suites.suite(small_suites.SMALL))
