import pytest
from PIL import Image

from bench.graph.suite_graph import build_graph
from bench.store.store import Store


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


@pytest.fixture
def suite_of(load, small):
    """`suite_of(**changes)`: the small suite's base with changes, as its only cell."""
    return lambda **changes: load({**small, "arms": [{"name": "a", "set": changes}]})


@pytest.fixture
def evaluation_of(suite_of):
    """`evaluation_of(**changes)`: the last node of that cell."""
    return lambda **changes: build_graph(suite_of(**changes)).evaluations[0]


@pytest.fixture
def reached(store):
    """`reached(evaluation, mean_tokens)`: it has run, and its allocation came to so many."""

    def reached(node, mean_tokens):
        spec = node.spec(store)
        store.work(spec.stage, spec.key).mkdir(parents=True)
        result = {"metrics": {"mean_tokens": mean_tokens}}
        about = {"config": spec.config, "inputs": spec.inputs, "resources": {}}
        store.publish(spec.stage, spec.key, {"seconds": 1.0, "result": result, **about})

    return reached


@pytest.fixture
def folder(tmp_path):
    """Four pictures."""
    root = tmp_path / "images"
    root.mkdir()
    for index in range(4):
        Image.new("RGB", (8, 8), (index, 0, 0)).save(root / f"{index}.png")
    return root
