import re

import pytest
from PIL import Image

from bench.errors import UserError
from bench.graph.enough_images import require_enough_images
from bench.graph.nodes import Node
from bench.graph.suite_graph import build_graph
from bench.run.executors import SerialExecutor
from bench.run.runner import run_suite
from bench.stages import STAGES
from bench.store.stage import Resources
from bench.store.store import Store


@pytest.fixture
def refusal(load, small, tmp_path):
    """`refusal(settings)`: why a run is refused, and the stages that are in its store then."""

    def refusal(arm=1, **settings):
        settings = {**small["arms"][arm].get("set", {}), **settings}
        small["arms"] = [{"name": "one", "set": settings}]
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


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"evaluation.kid_subset": 16},
            r"evaluation\.kid_subset: \d validation images do not fill two blocks of 16; lower it",
        ),
        (
            {"evaluation.generative": True},
            r"evaluation\.generative: an inception score needs 10 validation images .*, not \d",
        ),
        (
            {"evaluation.perturbed": {"images": 16, "alphas": [0.1], "neighbours": [2]}},
            r"evaluation\.perturbed\.images: 16 exceeds the \d validation images; ask for fewer",
        ),
        (
            {"evaluation.prefix_cosine_images": 16},
            r"evaluation\.prefix_cosine_images: 16 exceeds the \d validation images; ask for fewer",
        ),
    ],
)
def test_so_are_measures_of_more_images_than_there_are_to_validate(
    refusal, folder, settings, message
):
    found, stages = refusal(arm=0, data=folder, **settings)
    assert re.fullmatch(message, found)
    assert stages == {"manifest", "data"}


def test_so_are_measures_of_more_samples_than_are_drawn(tmp_path):
    images = Node("data", {"count": 40}, {}, {}, Resources())
    bank = Node("bank", {"images": None}, {"images": images}, {}, Resources())
    for samples, images.config["count"] in ((15, 40), (40, 15)):
        config = {"images": samples, "kid_subset": 8, "generative": False}
        node = Node("samples", config, {"bank": bank}, {}, Resources())
        with pytest.raises(UserError, match="15 validation images, or samples, do not fill two"):
            require_enough_images([node], Store(tmp_path))
    images.config["count"] = 16
    require_enough_images([node], Store(tmp_path))


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
    assert require_enough_images(graph.order(), Store(tmp_path)) is None
    assert STAGES["policy"].require_images({"batch": 5}, 5) is None
