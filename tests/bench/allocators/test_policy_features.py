import numpy as np
import pytest
import torch

from adatok_core.config import PolicyConfig
from bench.allocators.policy_features import policy_features
from bench.artifacts.bank import Bank
from bench.artifacts.networks import load_tokenizer
from bench.data.image_set import read_image_set

CELL = "policy: input pixels"
ROWS = torch.tensor([5, 0, 17])


@pytest.fixture(scope="module")
def bank(method_run):
    return Bank.read(method_run.artifact(CELL, "policy/bank"))


@pytest.fixture
def features(method_run, bank):
    """`features(**settings)`: those of the policy's bank."""

    def features(**settings):
        return policy_features(
            PolicyConfig(candidates=(1, 4), **settings),
            bank,
            tokenizer=method_run.artifact(CELL, "tokenizer"),
            images=method_run.artifact(CELL, "policy/images"),
        )

    return features


def test_latents_are_those_of_the_bank(features, bank):
    seen = features(input="latents")
    assert (seen.length, seen.width) == (4, 16)
    expected = np.array(bank.array("latents"))[ROWS.numpy()].astype(np.float32)
    assert torch.equal(seen.load(ROWS), torch.from_numpy(expected))


@pytest.mark.parametrize("prefix", [None, 1, 3])
def test_codes_are_decoded_from_the_first_ids(features, bank, method_run, prefix):
    seen = features(input="quantized", prefix=prefix)
    assert (seen.length, seen.width) == (prefix or 4, 6)
    ids = torch.from_numpy(np.array(bank.array("ids"))).long()[ROWS, :prefix]
    quantizer = load_tokenizer(method_run.artifact(CELL, "tokenizer")).quantizer
    with torch.no_grad():
        expected = quantizer.decode(ids)
    loaded = seen.load(ROWS)
    assert torch.equal(loaded, expected)
    assert loaded.dtype == torch.float32
    assert not loaded.requires_grad


def test_pixels_come_in_the_tokenizers_patches(features, method_run):
    seen = features(input="pixels")
    assert (seen.length, seen.width) == (16, 3 * 8 * 8)
    pixels = read_image_set(method_run.artifact(CELL, "policy/images")).pixels
    image = pixels[5].astype(np.float32) / 127.5 - 1
    # The second patch of the second row of four.
    expected = np.sort(image[:, 8:16, 8:16].ravel())
    np.testing.assert_allclose(np.sort(seen.load(ROWS)[0, 5].numpy()), expected, atol=1e-6)
