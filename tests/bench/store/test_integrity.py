import errno
import json

import pytest

from bench.store import integrity
from bench.store.integrity import DamagedError, damage, describe, verified, verified_file
from bench.store.store import Store


@pytest.fixture
def store(tmp_path):
    """A store with the artifact `bank/k`: `ids.npy` and `deep/er.npy`."""
    store = Store.open(tmp_path / "store")
    work = store.work("bank", "k")
    (work / "deep").mkdir(parents=True)
    (work / "ids.npy").write_bytes(b"pixels")
    (work / "deep" / "er.npy").write_bytes(b"more")
    store.publish("bank", "k", {"result": {"a": (1, float("nan"))}})
    return store


@pytest.fixture
def folder(store):
    return store.artifact("bank", "k")


def test_a_whole_artifact(store, folder):
    assert store.description("bank", "k")["result"] == {"a": [1, None]}
    assert sorted(store.description("bank", "k")["files"]) == ["deep/er.npy", "ids.npy"]
    assert damage(folder) is store.check("bank", "k") is None
    assert verified(folder) == folder
    assert verified_file(folder / "ids.npy") == folder / "ids.npy"


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("ids.npy", b"pixel", "ids.npy is damaged (5 bytes, 6 were written)"),
        ("ids.npy", b"pixelz", "ids.npy is damaged (its SHA-256 is another)"),
        ("ids.npy", None, "ids.npy is missing"),
        ("deep/er.npy", b"", "deep/er.npy is damaged (0 bytes, 4 were written)"),
        ("stage.json", b"{", "stage.json is damaged"),
        ("stage.json", b"\xff", "stage.json is damaged"),
        ("stage.json", b"[]", "stage.json is damaged"),
        ("stage.json", b'{"result": {}}', "stage.json is damaged"),
        ("stage.json", b"[" * 100_000, "stage.json is damaged"),
        ("stage.json", b'{"stage": "bank", "key": "j"}', "stage.json is another artifact's"),
        ("stage.json", None, "stage.json is missing"),
    ],
)
def test_what_is_damaged_is_named_with_its_remedy_and_set_aside(
    store, folder, name, content, reason
):
    path = folder / name
    path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises(DamagedError) as error:
        verified(folder, suite="s")
    remedy = "mend it with: adatok-bench run SUITE (the file of suite 's')"
    assert str(error.value) == f"{folder}/{reason}; {remedy}"
    assert store.check("bank", "k").reason == reason
    # Of content alone only the hashes tell.
    assert store.has("bank", "k") == (content == b"pixelz")
    place = store.set_aside("bank", "k")
    assert place.parent == store.root / "damaged"
    assert not folder.exists()
    assert store.set_aside("bank", "k") is None


def test_a_changed_description_is_not_read(folder):
    path = folder / "stage.json"
    path.write_text(path.read_text().replace('"a"', '"b"'))
    assert damage(folder, hashed=False).reason == "stage.json is damaged"


def test_other_files_than_those_named_do_not_matter(folder):
    (folder / "deep" / "er.npy").unlink()
    assert verified(folder, "ids.npy") == folder
    with pytest.raises(DamagedError, match=r"other\.npy is missing"):
        verified(folder, "other.npy")


def test_a_file_is_hashed_once_by_a_process_and_not_by_the_next_run(store, folder, monkeypatch):
    read = []
    integrity._hashed.cache_clear()
    whole = integrity.file_sha256
    monkeypatch.setattr(integrity, "file_sha256", lambda path: (read.append(path), whole(path))[1])
    assert store.check("bank", "k") is None  # Publishing has remembered their stamps.
    assert read == []
    verified(folder)
    verified(folder)
    assert sorted(read) == [f"{folder}/deep/er.npy", f"{folder}/ids.npy"]
    (folder / "ids.npy").write_bytes(b"pixels")  # Another time: the stamp is another.
    assert store.check("bank", "k") is None
    assert len(read) == 3


@pytest.mark.parametrize("memory", [b"", b"[]", b'{"ids.npy": 3}', b"\xff"])
def test_a_torn_memory_of_hashes_costs_reading_and_nothing_else(store, folder, memory):
    (store.root / "verified" / "bank-k.json").write_bytes(memory)
    assert store.check("bank", "k") is None
    (folder / "ids.npy").write_bytes(b"pixelz")
    assert store.check("bank", "k").reason.startswith("ids.npy is damaged")


def test_a_store_that_cannot_be_written_is_checked_all_the_same(store, folder, monkeypatch):
    def read_only(path, value):
        raise OSError(errno.EROFS, "Read-only file system", str(path))

    monkeypatch.setattr("bench.store.store.write_json", read_only)
    (store.root / "verified" / "bank-k.json").unlink()
    assert store.check("bank", "k") is None
    (folder / "ids.npy").write_bytes(b"pixelz")
    assert store.check("bank", "k").reason.startswith("ids.npy is damaged")


def test_an_artifact_of_the_first_version_is_taken_and_gets_its_hashes(store, folder):
    path = folder / "stage.json"
    old = {k: v for k, v in json.loads(path.read_text()).items() if k not in ("files", "seal")}
    path.write_text(json.dumps(old))
    assert store.has("bank", "k")
    assert not store.is_hashed("bank", "k")
    assert verified(folder, "ids.npy") == folder
    assert store.check("bank", "k") is None
    assert store.is_hashed("bank", "k")
    (folder / "ids.npy").write_bytes(b"pixelz")
    assert store.check("bank", "k") is not None


def test_a_description_is_written_again_alike(folder):
    before = (folder / "stage.json").read_bytes()
    describe(folder, integrity.read_description(folder))
    assert (folder / "stage.json").read_bytes() == before
