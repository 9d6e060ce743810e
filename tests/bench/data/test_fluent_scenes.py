import hashlib
import subprocess
import sys

import numpy as np
import pytest

from bench.data import fluent_scenes
from bench.data.backgrounds import BACKGROUNDS
from bench.data.emoji import base_code_point, load_emoji, split_of_base
from bench.data.fluent_scenes import MAX_OBJECTS, _generator, _place, render_scene


def scene(index=0, *, split="train", seed=0, resolution=32):
    return render_scene(index, split=split, seed=seed, resolution=resolution)


def digest_of(split, count=64):
    pixels = np.stack([scene(i, split=split).pixels for i in range(count)])
    return hashlib.sha256(pixels.tobytes()).hexdigest()


# If these change, every data set, and with it every result, is another one. Either the scenes were
# changed on purpose (then raise the version of the data stage as well), or Pillow, libwebp or numpy
# now compute other pixels (then results before and after the upgrade are not comparable).
@pytest.mark.parametrize(
    ("split", "digest"),
    [
        ("train", "82c1f73c72eefc3b46177e7e5b286a52bbaaeae6f68fb6db8b0b96a79a10c892"),
        ("validation", "643b54c524dc27d79e6a61d47fd0a685da413f0bef79aba9778b31dbaf8ce10e"),
    ],
)
def test_known_digest(split, digest):
    assert digest_of(split) == digest


def test_pixels_layout():
    pixels = scene(resolution=48).pixels
    assert pixels.shape == (3, 48, 48)
    assert pixels.dtype == np.uint8
    assert pixels.flags.c_contiguous


def test_order_of_calls_does_not_matter():
    forwards = [scene(i).pixels for i in range(12)]
    backwards = [scene(i).pixels for i in reversed(range(12))][::-1]
    np.testing.assert_array_equal(forwards, backwards)


def test_another_process_renders_the_same():
    code = (
        "from bench.data.fluent_scenes import render_scene as r;"
        "print(sum(r(5, split='train', seed=3, resolution=32).pixels.tobytes()))"
    )
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert int(out) == sum(scene(5, seed=3).pixels.tobytes())


@pytest.mark.parametrize("change", [{"index": 1}, {"seed": 1}, {"split": "validation"}])
def test_index_seed_and_split_each_change_the_scene(change):
    assert (scene(**change).pixels != scene().pixels).any()


def test_same_scene_at_another_resolution():
    for index in range(40):
        large, small = scene(index, resolution=64), scene(index, resolution=32)
        assert (large.objects, large.label) == (small.objects, small.label)
        halved = large.pixels.reshape(3, 32, 2, 32, 2).mean((2, 4))
        difference = np.abs(halved - small.pixels).mean()
        other = np.abs(halved - scene(index + 1, resolution=32).pixels).mean()
        assert difference < 3 < other


def test_all_object_counts_and_backgrounds_occur():
    scenes = [scene(i, resolution=16) for i in range(400)]
    counts = np.bincount([s.objects for s in scenes])
    assert len(counts) == MAX_OBJECTS + 1
    assert counts.min() > 20
    labels = np.bincount([s.label for s in scenes])
    assert len(labels) == len(BACKGROUNDS)
    assert labels.min() > 100


def test_a_flat_scene_without_objects_is_one_colour():
    empty = next(s for s in map(scene, range(200)) if s.objects == 0 and s.label == 0)
    assert (empty.pixels == empty.pixels[:, :1, :1]).all()


@pytest.mark.parametrize("split", ["train", "validation"])
def test_scenes_use_the_emoji_of_their_split_only(split):
    rng = _generator("any")
    names = load_emoji().names
    placed = [_place(rng, split) for _ in range(500)]
    assert {split_of_base(base_code_point(names[item.emoji])) for item in placed} == {split}
    assert all(0.2 <= item.size < 0.6 for item in placed)


def test_calibration_scenes_are_new_ones_of_the_validation_emoji(monkeypatch):
    asked = set()

    def noted(rng, split):
        asked.add(split)
        return _place(rng, split)

    monkeypatch.setattr(fluent_scenes, "_place", noted)
    calibration = [scene(i, split="calibration").pixels for i in range(8)]
    assert asked == {"validation"}
    validation = [scene(i, split="validation").pixels for i in range(8)]
    assert all((one != other).any() for one, other in zip(calibration, validation, strict=True))


@pytest.mark.parametrize("resolution", [16, 20, 33, 256])
def test_smallest_odd_and_largest_resolution(resolution):
    scenes = [scene(i, resolution=resolution) for i in range(40)]
    assert all(s.pixels.shape == (3, resolution, resolution) for s in scenes)


def test_out_of_range():
    with pytest.raises(ValueError, match="resolution"):
        scene(resolution=15)
    with pytest.raises(ValueError, match="index"):
        scene(-1)
    with pytest.raises(ValueError, match="split"):
        scene(2, split="test")
