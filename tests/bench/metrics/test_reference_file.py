import re

import numpy as np
import pytest
import torch

from bench.errors import UserError
from bench.metrics.extraction import build_extractors
from bench.metrics.frechet import FrechetReference, gaussian_statistics
from bench.metrics.reference_file import reference_statistics

READ = {"batch": 4, "device": "cpu"}


@pytest.fixture(scope="module")
def lite0():
    return build_extractors(resolution=32, device="cpu", second=False)[0]


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(0, 256, (9, 32, 32, 3), np.uint8)


@pytest.fixture(scope="module")
def features(lite0, images):
    with torch.inference_mode():
        return lite0.features(torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()).numpy()


def test_images_give_the_statistics_of_their_features(lite0, images, features, tmp_path):
    np.savez(tmp_path / "some.npz", arr_0=images)
    told = []
    found = reference_statistics(
        str(tmp_path / "some.npz"), lite0, progress=lambda *of: told.append(of), **READ
    )
    own = gaussian_statistics(features)
    assert np.allclose(found.mean, own.mean, atol=1e-5)
    assert np.allclose(found.covariance, own.covariance, atol=1e-4)
    assert told == [(4, 9), (8, 9), (9, 9)]


def test_statistics_are_taken_as_they_are(lite0, images, tmp_path):
    """Their images are beside them in ADM's files, and not looked at."""
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(400, 6))
    own = gaussian_statistics(rows)
    path = tmp_path / "adm.npz"
    np.savez(path, mu=own.mean, sigma=own.covariance, mu_s=own.mean, arr_0=images)
    found = reference_statistics(str(path), lite0, **READ)
    other = gaussian_statistics(rng.normal(size=(300, 6)))
    expected = FrechetReference(own).distance(other)
    assert FrechetReference(found).distance(other) == pytest.approx(expected, rel=1e-9)


def pickled(path, images):
    np.savez(path, mu=np.array([{}], dtype=object), sigma=np.eye(1))


def truncated(path, images):
    np.savez(path, arr_0=images)
    path.write_bytes(path.read_bytes()[:-3000])


def cut_short(path, images):
    np.savez(path, arr_0=images.astype(np.float32))


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (pickled, "allow_pickle=False"),
        (truncated, "zip"),
        (cut_short, r"arr_0 \(9, 32, 32, 3\) float32 is not"),
        (lambda path, images: np.savez(path, mu=np.ones(3), sigma=np.eye(2)), "do not fit"),
        (lambda path, images: np.savez(path, mu=np.ones(1), sigma=[[np.nan]]), "not finite"),
        (lambda path, images: np.savez(path, other=images), "neither mu and sigma nor arr_0"),
        (lambda path, images: path.write_text("text"), "pickle"),
        (lambda path, images: None, "No such file"),
    ],
)
def test_another_file_is_one_line(lite0, images, tmp_path, write, words):
    path = tmp_path / "wrong.npz"
    write(path, images)
    with pytest.raises(UserError, match=words) as refused:
        reference_statistics(str(path), lite0, **READ)
    assert re.match(r"generation\.reference\.file: .*wrong\.npz: ", str(refused.value))
