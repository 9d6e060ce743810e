"""A tokenizer of someone else as the harness uses it: nothing that it gives is believed."""

import numpy as np
import pytest
import torch

from bench.config.tokenizers import ExternalTokenizer
from bench.errors import UserError
from bench.external.adapter import ExternalAdapter, build_external
from bench.external.guest import invite

IMAGES = torch.rand(5, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def adapted(origin, budgets=(1, 2, 4)):
    return ExternalAdapter(invite(origin), budgets=budgets, where="tokenizer")


def test_it_is_a_tokenizer(origin):
    tokenizer = adapted(origin(levels=8))
    ids, features = tokenizer.encode(IMAGES)
    assert ids.dtype == torch.int64
    assert ids.shape == (5, 4)
    assert features.shape == (5, 1, 4)
    assert torch.equal(tokenizer.encode(IMAGES, 2)[0], ids[:, :2])
    assert (tokenizer.max_tokens, tokenizer.nested, tokenizer.image_size) == (4, True, 8)
    assert (tokenizer.bits_per_token, tokenizer.patch_size, tokenizer.code_sizes) == (3.0, 8, (8,))
    kept = torch.tensor([1, 4, 2, 4, 1])
    decoded = tokenizer.decode(ids, kept)
    for row, budget in enumerate(kept.tolist()):
        alone = tokenizer.prefix_decoder(budget)(ids[row : row + 1, :budget])
        assert torch.equal(alone[0], decoded[row])


def test_images_are_what_eight_bits_hold_in_its_own_range_and_rounding(broken):
    change = (
        "def describe(self): return {{**super().describe(), 'range': [-1, 1], 'rounding': {!r}}}\n"
        "def decode(self, ids): return np.full((len(ids), 3, 8, 8), 0.5)"
    )
    ids = torch.zeros(1, 4, dtype=torch.int64)
    for rounding, expected in (("nearest", 191), ("truncate", 191)):
        images = adapted(broken(change.format(rounding))).prefix_decoder(4)(ids)
        assert set((images * 255).flatten().tolist()) == {float(expected)}
    change = change.replace("0.5)", "-0.005)")
    for rounding, expected in (("nearest", 127), ("truncate", 126)):
        images = adapted(broken(change.format(rounding))).prefix_decoder(4)(ids)
        assert torch.allclose(images * 255, torch.tensor(float(expected)))


def test_one_that_is_not_nested_is_asked_for_every_budget(broken):
    change = (
        "def describe(self): return dict(resolution=8, budgets=[2, 4], codebook_size=16,\n"
        "    arrays='numpy')\n"
        "def encode(self, images, budget): return np.full((len(images), budget), budget)"
    )
    tokenizer = adapted(broken(change), (2, 4))
    assert tokenizer.encode(IMAGES, 2)[0].tolist() == [[2, 2]] * 5
    assert tokenizer.encode(IMAGES)[0].tolist() == [[4] * 4] * 5
    with pytest.raises(UserError, match="3 is not among those it has: 2, 4"):
        tokenizer.prefix_decoder(3)


ENCODED_WRONG = [
    ("return None", "gives nothing; it must give integers [5, 4]"),
    ("return ids[:, :3]", "[5, 3] of int64; it must give integers [5, 4]"),
    ("return ids.T", "[4, 5] of int64"),
    ("return ids.astype(float)", "of float64; it must give integers"),
    ("return ids > 3", "of bool; it must give integers"),
    ("return ids - 100", "ids from -9"),
    ("return ids + 100", "ids in 0..15"),
    ("return ids.astype(np.uint64) - np.uint64(100)", "ids in 0..15"),
    ("return ids, features[:3]", "features of shape [3, 1, 4]"),
    ("return ids, features[:, None, None]", "features of shape [5, 1, 1, 4]"),
    ("return ids, features * np.nan", "finite floats"),
    ("return ids, ids", "finite floats"),
    ("return ids, features, ids", "it must give ids, or ids and features"),
    ("return None, features", "it must give integers"),
]


@pytest.mark.parametrize(("body", "expected"), ENCODED_WRONG)
def test_ids_and_features_that_are_none_are_one_line(broken, body, expected):
    change = f"def encode(self, images):\n    ids, features = super().encode(images)\n    {body}"
    with pytest.raises(UserError) as error:
        adapted(broken(change)).encode(IMAGES)
    assert str(error.value).startswith("tokenizer: encode gives ")
    assert expected in str(error.value)


def test_a_type_that_cannot_hold_the_codebook_is_refused_even_where_ids_fit(broken):
    change = (
        "def describe(self): return {**super().describe(), 'codebook_size': 1000}\n"
        "def encode(self, images): return np.zeros((len(images), 4), np.uint8)"
    )
    with pytest.raises(UserError, match="ids of type uint8; it must give a type for 1000 codes"):
        adapted(broken(change)).encode(IMAGES)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("return None", "gives nothing; it must give images [5, 3, 8, 8]"),
        ("return images[:4]", "an array [4, 3, 8, 8]"),
        ("return images.transpose(0, 2, 3, 1)", "an array [5, 8, 8, 3]"),
        ("return images.repeat(2, 2).repeat(2, 3)", "an array [5, 3, 16, 16]"),
        ("return images[:, :1]", "an array [5, 1, 8, 8]"),
        ("return images * np.nan", "values that are no finite floats"),
        ("return images / 0.0", "values that are no finite floats"),
        ("return (images * 255).astype(int)", "values that are no finite floats"),
        ("return images > 0", "values that are no finite floats"),
        ("return images, images", "an array [5, 3, 8, 8] of float64 and an array"),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero:RuntimeWarning")
def test_images_that_are_none_are_one_line(broken, body, expected):
    change = f"def decode(self, ids):\n    images = super().decode(ids)\n    {body}"
    with pytest.raises(UserError) as error:
        adapted(broken(change)).prefix_decoder(2)(torch.zeros(5, 2, dtype=torch.int64))
    assert str(error.value).startswith("tokenizer: decode gives ")
    assert expected in str(error.value)


def test_what_it_was_given_stays_as_it_was(broken):
    change = (
        "def describe(self): return {**super().describe(), 'arrays': 'torch'}\n"
        "def encode(self, images):\n"
        "    import torch\n"
        "    images.mul_(2).sub_(1)\n"
        "    return torch.zeros(len(images), 4, dtype=torch.int64)\n"
    )
    before = IMAGES.clone()
    adapted(broken(change)).encode(IMAGES)
    assert torch.equal(IMAGES, before)


def test_one_whose_process_ended_is_made_anew(broken, tmp_path):
    import sys

    broken("def encode(self, images):\n    import os; os._exit(1)")
    settings = ExternalTokenizer(factory="broken.py:Broken", python=sys.executable)
    tokenizer = build_external(settings, folder=str(tmp_path))
    with pytest.raises(UserError, match="exit code 1"):
        tokenizer.encode(IMAGES)
    again = build_external(settings, folder=str(tmp_path))
    assert again.prefix_decoder(2)(torch.zeros(1, 2, dtype=torch.int64)).shape == (1, 3, 8, 8)
    assert build_external(settings, folder=str(tmp_path)).guest is again.guest


def test_uint8_is_taken_as_it_is(broken):
    change = "def decode(self, ids): return np.full((len(ids), 3, 8, 8), 77, np.uint8)"
    images = adapted(broken(change)).prefix_decoder(1)(torch.zeros(1, 1, dtype=torch.int64))
    assert np.unique((images * 255).numpy().round()).tolist() == [77]
