import numpy as np
import pytest
from PIL import Image

from bench.data.image_set import FluentScenes, build_image_set, read_image_set
from bench.errors import UserError
from bench.stage import Resources, StageContext, StageSpec
from bench.stages import data


@pytest.mark.parametrize(("split", "path"), [("validation", "bank"), ("train", "policy/bank")])
def test_a_split_of_scenes_is_the_one_its_settings_name(small_run, context, split, path):
    stage = context("policy: seed 0", f"{path}/images")
    result = data.run(stage)
    expected = build_image_set(FluentScenes(resolution=32, train=48, validation=24, seed=0), split)
    stored = read_image_set(stage.work)
    np.testing.assert_array_equal(stored.pixels, expected.pixels)
    assert result == {"digest": expected.digest, "count": len(expected.pixels)}
    assert stage.told == list(range(1, len(expected.pixels) + 1))


def test_count_and_seed_are_of_effect(context):
    def digest(**config):
        return data.run(context("elastic", "bank/images", config=config))

    first = digest(count=3)
    assert first["count"] == 3
    assert digest(count=3, seed=1)["digest"] != first["digest"]
    assert digest(count=3)["digest"] == first["digest"]


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "images"
    root.mkdir()
    for index in range(30):
        noise = np.random.default_rng(index).integers(0, 256, (20, 20, 3), np.uint8)
        Image.fromarray(noise).save(root / f"{index:02d}.png")
    return root


def of_folder(path, work, **config):
    settings = {
        "kind": "image_folder",
        "resolution": 16,
        "validation_fraction": 0.3,
        "max_unreadable": 0.0,
        "split": "train",
        "fingerprint": "f",
        **config,
    }
    spec = StageSpec("data", 1, settings, {}, {"path": str(path)}, Resources())
    work.mkdir(exist_ok=True)
    return StageContext(spec, {}, work)


def test_a_folder_is_read_from_where_it_lies_on_this_machine(folder, tmp_path):
    train = data.run(of_folder(folder, tmp_path / "a"))
    validation = data.run(of_folder(folder, tmp_path / "b", split="validation"))
    assert train["count"] + validation["count"] == 30
    assert 0 < validation["count"] < train["count"]
    images = read_image_set(tmp_path / "b")
    assert images.pixels.shape == (validation["count"], 3, 16, 16)
    assert set(images.table["id"]).isdisjoint(read_image_set(tmp_path / "a").table["id"])


def test_a_folder_that_is_gone_is_bad_input(tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        data.run(of_folder(tmp_path / "gone", tmp_path / "a"))
