import numpy as np
import pytest
from PIL import Image

from bench.data.datasets import FluentScenes
from bench.data.fingerprint import fingerprint
from bench.data.image_set import read_image_set
from bench.data.writing import write_scenes
from bench.errors import UserError
from bench.stages import data, manifest
from bench.store.stage import Resources, StageContext, StageSpec


@pytest.mark.parametrize(("split", "path"), [("validation", "bank"), ("train", "policy/bank")])
def test_a_split_of_scenes_is_the_one_its_settings_name(small_run, context, tmp_path, split, path):
    stage = context("policy: seed 0", f"{path}/images")
    result = data.run(stage)
    scenes = FluentScenes(resolution=32, train=48, validation=24, seed=0)
    expected = write_scenes(scenes, split, tmp_path / "expected")
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


def context_of(stage, config, path, work, **inputs):
    spec = StageSpec(stage, 1, config, {}, {"path": str(path)}, Resources())
    work.mkdir(exist_ok=True)
    return StageContext(spec, inputs, work)


def listing(path, work, name=None):
    return context_of("manifest", {"fingerprint": name or fingerprint(path)}, path, work)


def reading(path, work, listed, **config):
    settings = {
        "kind": "image_folder",
        "resolution": 16,
        "validation_fraction": 0.3,
        "max_unreadable": 0.0,
        "split": "train",
        **config,
    }
    return context_of("data", settings, path, work, manifest=listed)


def test_a_folder_is_read_from_where_it_lies_on_this_machine(folder, tmp_path):
    assert manifest.run(listing(folder, tmp_path / "m")) == {"count": 30, "unreadable": 0}
    moved = folder.rename(tmp_path / "moved")
    train = data.run(reading(moved, tmp_path / "a", tmp_path / "m"))
    validation = data.run(reading(moved, tmp_path / "b", tmp_path / "m", split="validation"))
    assert train["count"] + validation["count"] == 30
    assert 0 < validation["count"] < train["count"]
    images = read_image_set(tmp_path / "b")
    assert images.pixels.shape == (validation["count"], 3, 16, 16)
    assert set(images.table["id"]).isdisjoint(read_image_set(tmp_path / "a").table["id"])


def test_both_stages_say_how_far_they_are(folder, tmp_path, monkeypatch):
    told = []
    monkeypatch.setattr(StageContext, "progress", lambda self, *of: told.append(of))
    manifest.run(listing(folder, tmp_path / "m"))
    assert told == [(done, 30, "files checked") for done in range(1, 31)]
    told.clear()
    total = data.run(reading(folder, tmp_path / "a", tmp_path / "m"))["count"]
    assert told == [(done, total, "train images") for done in range(1, total + 1)]


def test_a_folder_that_is_not_the_one_it_was_named_after(folder, tmp_path):
    with pytest.raises(UserError, match="changed while the run was going on") as error:
        manifest.run(listing(folder, tmp_path / "m", name="another"))
    assert str(folder) in str(error.value)
    assert not list((tmp_path / "m").glob("manifest.*"))


def test_a_folder_that_is_gone_is_bad_input(tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        manifest.run(listing(tmp_path / "gone", tmp_path / "a", name="f"))
