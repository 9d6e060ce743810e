"""Every kind of file of a finished store, damaged in every way: noticed and healed, or refused."""

import shutil

import pytest

from bench.errors import UserError
from bench.graph.suite_graph import build_graph
from bench.records.reading import read_records
from bench.run.executors import SerialExecutor
from bench.run.runner import run_suite
from bench.run.store_check import check_store
from bench.run.views import show_reports
from bench.store.store import Store


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


DAMAGES = {
    "truncated": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "empty": lambda path: path.write_bytes(b""),
    "deleted": lambda path: path.unlink(),
    "flipped": flip,
    "foreign": lambda path: path.write_bytes(b"foreign"),
}
# Of each stage every file; of these only the first cell's or the first split's.
KINDS = ("data/*/*", "tokenizer/*/*", "bank/*/*", "policy/*/*", "png_sizes/*/*", "evaluation/*/*")
BESIDE = ("records/small/*.json", "records/small/*.sha256", "failed/*", "views/*", "verified/*")
UNEQUAL = ("per_second", "seconds", "provenance", "peak_memory", "time_share")


@pytest.fixture(scope="module")
def finished(small_run, tmp_path_factory):
    """The small run's store, with a report that is remembered."""
    store = Store(tmp_path_factory.mktemp("finished") / "store")
    shutil.copytree(small_run.store.root, store.root)
    show_reports("small", ("summary",), small_run.result, store)
    return store


@pytest.fixture
def store(finished, tmp_path):
    return Store(shutil.copytree(finished.root, tmp_path / "store"))


def ignoring(total):
    return lambda done: None


def comparable(value):
    """A record without what is measured anew."""
    if isinstance(value, dict):
        kept = {k: v for k, v in value.items() if not any(word in k for word in UNEQUAL)}
        return {name: comparable(one) for name, one in kept.items()}
    return [comparable(one) for one in value] if isinstance(value, list) else value


def run(small_run, store):
    said = []
    graph = build_graph(small_run.suite)
    result = run_suite(small_run.suite, graph, store, SerialExecutor(store), say=said.append)
    show_reports("small", ("summary",), result, store)
    return [comparable(record.plain()) for record in result.records], said


@pytest.mark.parametrize("how", DAMAGES)
def test_any_damaged_file_is_noticed(store, how):
    """One after the other; each is put back before the next."""
    patterns = [*KINDS, *BESIDE[:1], *([] if how == "deleted" else BESIDE[2:])]
    for path in [path for pattern in patterns for path in sorted(store.root.glob(pattern))]:
        before = path.read_bytes()
        DAMAGES[how](path)
        # What is only remembered may be gone, or be other numbers that mean nothing.
        if path.parent.name != "verified":
            assert check_found(store, path, how), path
        path.write_bytes(before)


def check_found(store, path, how):
    """Whether something is said of the file or its artifact by what would use it."""
    if path.parent.parent.name == "records":
        if how == "deleted":
            return True  # A cell without a record.
        with pytest.raises(UserError, match="mend it with: adatok-bench run SUITE"):
            read_records(path.parent)
        return True
    if path.parent.parent == store.root:  # failed, views
        return path in [one.path for one in check_store(store, started=ignoring).found]
    found = store.check(path.parents[1].name, path.parent.name)
    return found is not None and path.name in found.reason


@pytest.mark.parametrize("how", ["deleted", "flipped"])
def test_a_run_heals_what_is_damaged(small_run, store, how):
    """One file of each kind at a time would take minutes: all kinds at once."""
    right = [comparable(record.plain()) for record in small_run.result.records]
    cell = small_run.record("policy: seed 0")
    damaged = [
        store.artifact("policy", small_run.spec(cell.label, "policy").key) / "policy.safetensors",
        store.artifact("bank", small_run.spec(cell.label, "bank").key) / "ids.npy",
        store.root / cell.images,
        *(next(store.root.glob(pattern)) for pattern in BESIDE),
    ]
    for path in damaged:
        DAMAGES[how](path)
    records, said = run(small_run, store)
    assert records == right
    aside = [line for line in said if "set aside in" in line]
    assert {line.split("-")[0] for line in aside} == {"policy", "bank", "evaluation"}
    assert len(aside) == len(list((store.root / "damaged").iterdir())) == 3
    assert check_store(store, started=ignoring).found == []
    records, said = run(small_run, store)
    assert records == right
    assert not [line for line in said if "set aside in" in line or " computed " in line]


def test_what_is_found_damaged_only_by_its_use_is_computed_again_in_the_same_run(
    small_run, store, monkeypatch
):
    """A disk that gives other bytes under the same stamp: only reading the file tells."""
    bank = small_run.spec("policy: seed 0", "policy/bank")
    policy = small_run.spec("policy: seed 0", "policy")
    store.check(bank.stage, bank.key)
    shutil.rmtree(store.artifact(policy.stage, policy.key))
    check = Store.check
    path = store.artifact(bank.stage, bank.key) / "mse.npy"

    def checked_before_the_damage(self, stage, key, **how):
        found = check(self, stage, key, **how)
        if key == bank.key and not (store.root / "damaged").exists():
            flip(path)
        return found

    monkeypatch.setattr(Store, "check", checked_before_the_damage)
    records, said = run(small_run, store)
    assert records == [comparable(record.plain()) for record in small_run.result.records]
    (line,) = (line for line in said if "set aside in" in line)
    assert f"bank-{bank.key}: mse.npy is damaged (its SHA-256 is another); set aside in" in line
