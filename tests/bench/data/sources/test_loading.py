import numpy as np
import pytest
import torch

from adatok_core.batches import batch_indices
from adatok_core.ranks import Ranks
from bench.data.augment import Augment
from bench.data.sources import loading
from bench.data.sources.lazy import LazyPixels
from bench.data.sources.loading import TrainingImages, stream_of
from bench.data.sources.located import LocatedImages, locate
from bench.data.sources.places import FolderSource
from bench.data.sources.survey import survey
from bench.errors import UserError

RUN = {"steps": 5, "batch": 6, "accumulate": 2, "seed": 3}


@pytest.fixture
def pixels(tree, tmp_path):
    found = survey(FolderSource(str(tree)), resolution=16)
    locate(found, tmp_path / "source")
    (tmp_path / "rows.bin").write_bytes(np.arange(11).astype("<i8").tobytes())
    return LazyPixels(LocatedImages(tmp_path / "source", tmp_path / "rows.bin", resolution=16))


def seen(pixels, first=0, *, augment=None, cache=0, **changes):
    images = TrainingImages(pixels, augment=augment, seed=3, cache_bytes=cache)
    return list(stream_of(images, **RUN | changes)(first))


def same(one, other):
    return len(one) == len(other) and all(map(torch.equal, one, other))


def test_without_augmentation_the_stream_is_that_of_an_array(pixels):
    array = np.array(pixels)
    expected = []
    for step in range(5):
        indices = batch_indices(step, count=11, batch=6, seed=3)
        expected += [torch.from_numpy(array[part.numpy()]) for part in indices.chunk(2)]
    assert same(seen(pixels), expected)
    assert same(seen(array), expected)
    assert same(seen(pixels, cache=10**6), expected)


@pytest.mark.parametrize("crop", ["random", "resized", "centre"])
def test_samples_are_the_same_from_any_step_and_with_any_number_of_workers(pixels, crop):
    augment = Augment(crop=crop)
    whole = seen(pixels, augment=augment)
    assert not same(whole, seen(pixels))
    assert same(seen(pixels, 3, augment=augment), whole[6:])
    assert same(seen(pixels, augment=augment, cache=4000), whole)
    alone = seen(pixels, augment=augment, accumulate=1)
    assert torch.equal(torch.cat(alone), torch.cat(whole))
    workers = {"centre": 0, "random": 1, "resized": 2}[crop]
    assert same(seen(pixels, 1, augment=augment, workers=workers), whole[2:])


def test_a_rank_reads_its_part_of_every_micro_batch_and_no_more(pixels, monkeypatch):
    whole, read, parts = seen(pixels, batch=8), [], []
    decoded = TrainingImages._decoded
    monkeypatch.setattr(
        TrainingImages, "_decoded", lambda self, index: read.append(index) or decoded(self, index)
    )
    for rank in range(2):
        monkeypatch.setattr(loading.Ranks, "here", lambda rank=rank: Ranks(rank, 2))
        parts.append(seen(pixels, batch=8))
    assert same([torch.cat(both) for both in zip(*parts, strict=True)], whole)
    assert len(read) == sum(map(len, whole))


def test_an_image_varies_from_epoch_to_epoch_alone(pixels):
    images = TrainingImages(pixels, augment=Augment(), seed=3)
    index = torch.tensor([5, 5, 5])
    first, other, again = images.batch(index, torch.tensor([0, 1, 0]))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    fourth = TrainingImages(pixels, augment=Augment(), seed=4).batch(index, torch.tensor([0] * 3))
    assert not torch.equal(fourth[0], first)


def test_images_in_an_array_are_flipped(pixels):
    array = np.array(pixels)
    flips = Augment(crop="centre")
    assert same(seen(array, augment=flips), seen(pixels, augment=flips))
    assert not same(seen(array, augment=flips), seen(array))


@pytest.mark.parametrize("workers", [0, 1])
def test_an_image_that_has_changed_is_one_line_of_whoever_reads_it(pixels, tree, workers):
    (tree / "train" / "a" / "02.png").write_bytes(b"other")
    with pytest.raises(UserError, match=r"^\S+02\.png: has changed since .*other content"):
        seen(pixels, workers=workers)


def test_a_cache_decodes_what_fits_once(pixels, monkeypatch):
    decoded = []
    original = LocatedImages.decoded

    def counted(self, index):
        decoded.append(index)
        return original(self, index)

    monkeypatch.setattr(LocatedImages, "decoded", counted)
    for cache, times in ((0, 30), (4 * 3 * 20 * 24, 4 + 18), (10**6, 11)):
        decoded.clear()
        whole = seen(pixels, cache=cache)
        assert len(whole) == 10
        assert abs(len(decoded) - times) <= (4 if cache == 4 * 3 * 20 * 24 else 0)


def test_the_loader_does_as_it_is_told(pixels, monkeypatch):
    told = {}

    def loader(images, **settings):
        told.update(settings)
        return []

    monkeypatch.setattr(loading, "DataLoader", loader)
    seen(pixels, workers=3, prefetch=5, pinned=True)
    assert (told["num_workers"], told["prefetch_factor"], told["pin_memory"]) == (3, 5, True)
    seen(pixels)
    assert (told["num_workers"], told["prefetch_factor"], told["pin_memory"]) == (0, None, False)
