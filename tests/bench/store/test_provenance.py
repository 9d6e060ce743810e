import json
import subprocess

import numpy
import pytest
import torch

from bench.store import provenance as module
from bench.store.provenance import PACKAGES, package_versions, provenance


@pytest.fixture(autouse=True)
def _fresh():
    provenance.cache_clear()
    yield
    provenance.cache_clear()


def test_versions_are_those_that_are_imported():
    versions = package_versions()
    assert versions["numpy"] == numpy.__version__
    assert versions["torch"] == torch.__version__
    assert set(versions) == set(PACKAGES)


def test_a_package_that_is_not_installed_is_left_out(monkeypatch):
    monkeypatch.setattr(module, "PACKAGES", ("numpy", "no-such-package"))
    assert set(package_versions()) == {"numpy"}


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A git checkout with one commit that the module believes to live in."""
    package = tmp_path / "bench"
    package.mkdir()
    (package / "provenance.py").write_text("")
    for command in (
        ["init", "-q"],
        ["add", "."],
        ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "first"],
    ):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    monkeypatch.setattr(module, "__file__", str(package / "provenance.py"))
    return tmp_path


def test_the_commit_and_whether_the_checkout_is_dirty(checkout):
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=checkout, capture_output=True, text=True, check=True
    ).stdout.strip()
    assert (provenance()["git_commit"], provenance()["git_dirty"]) == (head, False)
    (checkout / "new.txt").write_text("changed")
    provenance.cache_clear()
    assert (provenance()["git_commit"], provenance()["git_dirty"]) == (head, True)


def test_outside_a_checkout_nothing_is_claimed(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "__file__", str(tmp_path / "provenance.py"))
    assert (provenance()["git_commit"], provenance()["git_dirty"]) == (None, None)


def test_without_git_nothing_is_claimed(checkout, monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert provenance()["git_commit"] is None


def test_the_machine_is_described_in_plain_values():
    about = json.loads(json.dumps(provenance()))
    assert about["python"].startswith("3.1")
    assert about["cpus"] >= 1
    assert about["host"]
    assert about["platform"]
