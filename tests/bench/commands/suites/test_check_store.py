import pytest

from bench.files import write_json
from bench.store.store import Store
from bench.store.sums import write_summed


@pytest.fixture
def store(tmp_path):
    store = Store.open(tmp_path / "store")
    work = store.work("bank", "k")
    work.mkdir(parents=True)
    (work / "ids.npy").write_bytes(b"pixels")
    store.publish("bank", "k", {})
    return store


def test_a_whole_store_is_said_to_be_whole(adatok, store):
    answer = adatok("check-store", "--store", store.root)
    assert (answer.code, answer.out) == (0, "1 artifacts checked, 0 findings\n")


def test_everything_wrong_is_listed_and_removed_only_when_asked_for(adatok, store):
    artifact = store.artifact("bank", "k")
    (artifact / "extra").write_text("x")
    answer = adatok("check-store", "--store", store.root)
    assert answer.out.startswith(f"foreign  {artifact}/extra is not of this artifact; remove it")
    (artifact / "ids.npy").write_bytes(b"pixelz")
    record = store.root / "records" / "small" / "a.json"
    write_summed(record, {"psnr": 1})
    write_json(record, {"psnr": 2})
    view = store.root / "views" / "small.mlflow.json"
    view.parent.mkdir()
    view.write_text("torn")
    (store.root / "mlflow.db").write_bytes(b"no database" * 100)
    (store.root / "bank" / "stray").write_text("x")
    answer = adatok("check-store", "--store", store.root)
    assert answer.code == 1
    lines = answer.out.splitlines()
    assert [line.split()[0] for line in lines[:-1]] == [
        *("damaged", "damaged", "foreign", "damaged", "damaged"),
    ]
    assert lines[0].startswith(f"damaged  {record} is not as it was written; adatok-bench run")
    assert f"{artifact} (ids.npy is damaged (its SHA-256 is another)); adatok-bench" in lines[1]
    assert lines[-1] == "1 artifacts checked, 5 findings"
    assert adatok("check-store", "--store", store.root, "--remove").code == 1
    assert not any(path.exists() for path in (artifact, record, view, store.root / "mlflow.db"))
    assert adatok("check-store", "--store", store.root).code == 0


def test_no_store_is_one_line(adatok, tmp_path):
    answer = adatok("check-store", "--store", tmp_path / "none")
    assert (answer.code, answer.err) == (
        2,
        f"error: no store at {tmp_path}/none; give --store\n",
    )
