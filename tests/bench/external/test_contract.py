"""The contract passes a good tokenizer, and says of a broken one which property it breaks."""

import sys

import numpy as np
import pytest

from bench.external.adapter import ExternalAdapter
from bench.external.contract import PROPERTIES, examine
from bench.external.examples import photographs, scenes
from bench.external.guest import invite
from bench.external.subject import foreign_subject

NAMES = [name for name, *_ in PROPERTIES]
IMAGES = scenes(8)


def examined(origin, images=IMAGES):
    def made():
        guest = invite(origin)
        return ExternalAdapter(guest, budgets=guest.description.meant_for, where="tokenizer")

    return {finding.name: finding for finding in examine(foreign_subject(made), images)}


def failed(origin, images=IMAGES):
    """The one property that is broken, and what is said of it."""
    found = examined(origin, images)
    ((name, text),) = [(one.name, one.text) for one in found.values() if one.status == "FAILED"]
    assert "\n" not in text
    return name, text


def test_a_good_one_passes(origin, python):
    found = examined(origin(python=python))
    assert list(found) == NAMES
    assert {one.status for one in found.values()} == {"ok"}
    assert found["encode"].text == "[8, 3, 8, 8] to ids [8, 4] of int64"
    assert found["ids"].text.endswith("within 0..15")
    assert found["nested"].text.startswith("MSE by tokens 1: 0.")
    assert "images of 16 px are refused" in found["resolution"].text


def test_one_that_is_not_nested_passes_at_all_its_budgets(broken):
    change = (
        "def describe(self): return dict(\n"
        "    resolution=8, budgets=[1, 4], codebook_size=16, arrays='numpy')\n"
        "def encode(self, images, budget):\n"
        "    ids, _ = super().encode(images)\n"
        "    return ids if budget == 4 else ids.mean(1, keepdims=True).astype(int)\n"
        "def decode(self, ids): return super().decode(ids.repeat(4 // ids.shape[1], 1))\n"
    )
    found = examined(broken(change))
    assert {one.status for one in found.values()} == {"ok"}, found
    assert found["nested"].text == "not claimed"
    assert found["features"].text.startswith("none")
    name, text = failed(broken(change.replace("budget == 4", "True")))
    assert name == "encode"
    assert "with budget=1 gives [8, 4] of int64" in text


TAIL_LEAK = """
def encode(self, images):
    self.kept = super().encode(images)[0]
    return self.kept
def decode(self, ids):
    return super().decode(np.concatenate([ids, self.kept[:len(ids), ids.shape[1]:]], 1))
"""
LOOKS_UP = """
def encode(self, images):
    ids, _ = super().encode(images)
    self.known = {**getattr(self, 'known', {}), **{tuple(i): x for i, x in zip(ids, images)}}
    return ids
def decode(self, ids):
    plain = super().decode(ids)
    for row, one in enumerate(ids):
        for full, image in getattr(self, 'known', {}).items():
            if full[:len(one)] == tuple(one):
                plain[row] = image
    return plain
"""
BATCH_NORM = """
def encode(self, images):
    return super().encode((images - images.mean() + 0.5).clip(0, 1))
"""
BATCH_DECODED = """
def decode(self, ids):
    images = super().decode(ids)
    return (images + images.mean()) / 2
"""
GRID = """
def decode(self, ids):
    return super().decode(ids.reshape(len(ids), 2, 2).reshape(len(ids), 4))
"""
LAST_FIRST = """
def decode(self, ids):
    return super().decode(ids if ids.shape[1] == 4 else ids * 0)
"""
IGNORES = """
def decode(self, ids):
    return super().decode(ids[:, :1])
"""
OWN_AT_EACH = """
def encode(self, images, budget=4):
    ids, _ = super().encode(images)
    return ids[:, ::-1][:, :budget] if budget < 4 else ids
"""
RANDOM = """
def encode(self, images):
    return super().encode(images)[0] ^ np.random.randint(2, size=(len(images), 4))
"""
NOISY = """
def decode(self, ids):
    return super().decode(ids) + np.random.normal(0, 0.1, (len(ids), 3, 8, 8))
"""
ANY_WEIGHTS = """
def __init__(self):
    super().__init__()
    type(self).made = getattr(type(self), 'made', 0) + 1
    self.weight = 1 - 0.1 * self.made
def decode(self, ids):
    return super().decode(ids) * self.weight
"""
LARGER = "def decode(self, ids): return super().decode(ids).repeat(2, 2).repeat(2, 3)"
WANTS_OTHER = """
def encode(self, images):
    assert images.shape[-1] == 16
    return super().encode(images[:, :, ::2, ::2])
"""
RANGED = "def decode(self, ids): return super().decode(ids) * {} + {}"
DESCRIBED = "\ndef describe(self): return super().describe() | {'range': [%s, %s]}"


@pytest.mark.parametrize(
    ("change", "name", "expected"),
    [
        (TAIL_LEAK, "tail", "once other images were encoded: it remembers"),
        (LOOKS_UP, "tail", "it remembers what it encoded"),
        (ANY_WEIGHTS, "tail", "its weights are random"),
        (BATCH_NORM, "batch", "encoded alone or in another order, "),
        (BATCH_DECODED, "batch", "decoded alone or in another order, pixels differ by up to 0."),
        (GRID, "nested", "nested=True, but the first 1 tokens: "),
        (LAST_FIRST, "nested", "2 tokens are worse than fewer"),
        (IGNORES, "nested", "more tokens do not help: MSE by tokens 1: 0."),
        (OWN_AT_EACH, "nested", "of the ids of encode(budget=1)"),
        (RANGED.format(2, -1), "range", "of the values lie outside; as -1 to 1 the MSE is"),
        (RANGED.format(255, 0), "range", "lie outside; as 0 to 255 the MSE is"),
        (RANGED.format(1, 0) + DESCRIBED % (-1, 1), "range", "as 0 to 1 the MSE is"),
        (RANGED.format(1, 0) + DESCRIBED % (0, 255), "range", "% of it; as 0 to 1 the MSE is"),
        (
            "def encode(self, images): return super().encode(images)[0] + 9",
            "ids",
            "outside of 0..15",
        ),
        (
            "def encode(self, images): return super().encode(images)[0] - 9",
            "ids",
            "outside of 0..15",
        ),
        (RANDOM, "repeatable", "encoded twice, "),
        (NOISY, "repeatable", "decoded twice, pixels differ by up to 0."),
        (
            "def encode(self, images): return super().encode(images)[0].T",
            "encode",
            "[4, 8] of int64",
        ),
        ("def encode(self, images): return images[:, 0, 0, :4]", "encode", "[8, 4] of float32"),
        ("def encode(self, images): return None", "encode", "gives nothing"),
        ("def encode(self, images): return 1 / 0", "encode", "ZeroDivisionError"),
        (
            "def decode(self, ids): return super().decode(ids).transpose(0, 2, 3, 1)",
            "decode",
            "[8, 8, 8, 3] of float64; it must give images [8, 3, H, W]",
        ),
        ("def decode(self, ids): return super().decode(ids) * np.nan", "decode", "are not finite"),
        (LARGER, "resolution", "describes 8 px, but decodes to 16 x 16 px"),
        (WANTS_OTHER, "resolution", "encode takes images of 16 px"),
        (
            "def encode(self, images): return super().encode(images)[0], images[:3, 0]",
            "features",
            "[3, 8, 8] of float32; they must be [B, L, D] or [B, D], of 8 images",
        ),
        (
            "def encode(self, images): return super().encode(images)[0], images[:, 0] / 0",
            "features",
            "values are no finite floats",
        ),
        ("def encode(self, images): return np.ones((len(images), 4), int)", "codebook", "1 of 16"),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero:RuntimeWarning")
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_a_broken_one_is_told_by_its_property(broken, change, name, expected):
    at, text = failed(broken(change))
    assert at == name
    assert expected in text


UNTRAINED = """
def decode(self, ids):
    table = np.random.default_rng(0).normal(size=(self.levels, 3, 4, 4)) * 3
    patches = np.zeros((len(ids), 4, 3, 4, 4))
    patches[:, : ids.shape[1]] = table[ids]
    return patches.reshape(-1, 2, 2, 3, 4, 4).transpose(0, 3, 1, 4, 2, 5).reshape(-1, 3, 8, 8)
"""


def test_untrained_weights_are_not_judged_by_what_they_decode(broken):
    found = examined(broken(UNTRAINED))
    assert {one.status for one in found.values()} == {"ok"}
    for name in ("range", "nested"):
        assert "untrained weights? distortion is not judged" in found[name].text


def test_what_cannot_be_looked_at_any_more_is_left_out(broken):
    found = examined(broken("def decode(self, ids): return ids"))
    assert found["decode"].status == "FAILED"
    assert found["codebook"].status == "ok"
    for name in NAMES[NAMES.index("decode") + 1 :]:
        assert str(found[name]) == f"skipped {name:<12}as decode failed"


def test_a_process_that_dies_breaks_it_too(broken):
    change = "def decode(self, ids):\n    import os; os._exit(4)"
    name, text = failed(broken(change, sys.executable))
    assert name == "decode"
    assert "exit code 4" in text


def test_a_truthful_range_and_rounding_pass(broken):
    for low, high in ((-1, 1), (0, 255), (-2.1, 2.6)):
        change = RANGED.format(high - low, low) + DESCRIBED % (low, high)
        assert {one.status for one in examined(broken(change)).values()} == {"ok"}


@pytest.mark.parametrize("resolution", [4, 32, 300])
def test_example_images(resolution):
    images = scenes(resolution)
    assert images.shape == (8, 3, resolution, resolution)
    assert images.dtype == np.float32
    assert 0 <= images.min() < 0.2 < 0.8 < images.max() <= 1


def test_photographs(tmp_path):
    from PIL import Image

    for number in range(20):
        Image.new("RGB", (20, 30), (number, 0, 255)).save(tmp_path / f"{number:02d}.png")
    images = photographs(tmp_path, 16)
    assert images.shape == (8, 3, 16, 16)
    np.testing.assert_allclose(images[:, 0, 0, 0] * 255, np.arange(0, 16, 2), atol=1e-4)
