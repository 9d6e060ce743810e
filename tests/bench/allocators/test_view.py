import numpy as np
import pytest

from bench.allocators.view import seen_of
from bench.artifacts.bank import Bank
from bench.data.image_set import read_image_set

CELL = "policy: input pixels"


@pytest.fixture(scope="module")
def bank(method_run):
    return Bank.read(method_run.artifact(CELL, "bank"))


def test_all_there_is_of_a_banks_images(method_run, bank):
    images = method_run.artifact(CELL, "bank/images")
    seen = seen_of(bank, images=images, columns=np.array([0, 2]))
    assert (seen.count, seen.nested) == (24, True)
    np.testing.assert_array_equal(seen.pixels, read_image_set(images).pixels)
    np.testing.assert_array_equal(seen.curves, bank.per_budget("mse")[:, [0, 2]])
    for name in ("latents", "ids"):
        np.testing.assert_array_equal(getattr(seen, name), bank.array(name))
    alone = seen_of(bank)
    assert alone.pixels is None
    assert alone.curves is None


def test_only_the_parts_asked_for_are_read(bank, tmp_path):
    (tmp_path / "ids.npy").write_bytes((bank.path / "ids.npy").read_bytes())
    seen = seen_of(Bank(tmp_path, bank.about), parts=frozenset({"ids"}))
    assert seen.latents is None
    np.testing.assert_array_equal(seen.ids, bank.array("ids"))


def test_pixels_end_where_a_bank_of_the_first_images_ends(method_run, bank):
    about = {**bank.about, "images": {"count": 5}, "nested": False}
    images = method_run.artifact(CELL, "bank/images")
    seen = seen_of(Bank(bank.path, about), images=images)
    assert len(seen.pixels) == seen.count == 5
    assert not seen.nested
