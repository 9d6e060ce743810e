import pytest
from PIL import Image

from bench.errors import UserError
from bench.graph.enough_images import require_enough_images
from bench.graph.suite_graph import build_graph
from bench.run.executors import SerialExecutor
from bench.run.runner import run_suite
from bench.store.enough import require_batch
from bench.store.store import Store


@pytest.fixture
def refusal(load, small, tmp_path):
    """`refusal(settings)`: why a run is refused, and the stages that are in its store then."""

    def refusal(**settings):
        small["arms"] = [{"name": "policy", "set": {**small["arms"][1]["set"], **settings}}]
        suite, store = load(small), Store.open(tmp_path / "store")
        with pytest.raises(UserError) as error:
            run_suite(suite, build_graph(suite), store, SerialExecutor(store), say=print)
        return str(error.value), {path.parent.parent.name for path in store.root.glob("*/*/*.json")}

    return refusal


@pytest.fixture
def folder(tmp_path):
    """32 images, of which some are for validation."""
    for index in range(32):
        path = tmp_path / "images" / f"{index}.png"
        path.parent.mkdir(exist_ok=True)
        Image.new("RGB", (32, 32), (8 * index, 0, 0)).save(path)
    return {"kind": "image_folder", "path": str(path.parent), "resolution": 32}


def test_a_bank_of_more_images_than_a_folder_has_is_refused_before_anything_trains(refusal, folder):
    message, stages = refusal(data=folder, **{"bank.policy_images": 31})
    assert message.startswith("bank.policy_images: 31 exceeds the 2")
    assert message.endswith(" training images; ask for fewer, or null for all")
    assert stages == {"manifest", "data"}


def test_so_is_a_batch_of_more_images_than_its_bank_would_have(refusal, folder):
    message, stages = refusal(data=folder, **{"bank.policy_images": None, "policy.batch": 31})
    assert message.startswith("policy.batch: 31 exceeds the 2")
    assert stages == {"manifest", "data"}


def test_so_is_a_batch_of_more_images_than_a_tokenizer_trains_on(refusal, folder):
    message, stages = refusal(data=folder, **{"bank.policy_images": None, "training.batch": 31})
    assert message.startswith("training.batch: 31 exceeds the 2")
    assert stages == {"manifest", "data"}


def test_where_the_settings_tell_the_number_nothing_is_computed(refusal):
    message, stages = refusal(**{"policy.batch": 41})
    assert message == (
        "policy.batch: 41 exceeds the 40 images of the policy's bank; lower it, or raise "
        "bank.policy_images"
    )
    assert stages == set()


def test_what_fits_is_let_through(load, small, tmp_path):
    small["arms"][1]["set"]["policy"]["batch"] = 40
    graph = build_graph(load(small))
    require_enough_images(graph.order(), Store(tmp_path))
    require_batch(5, 5)
