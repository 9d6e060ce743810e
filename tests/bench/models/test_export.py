import hashlib
import json
import shutil
import subprocess

import numpy as np
import pytest
import yaml

from bench.artifacts.exported import check_sums
from bench.data.image_set import read_image_set
from bench.errors import UserError
from bench.graph.suite_graph import build_graph
from bench.models.export import export_cell, find_cells
from bench.models.exported_model import ExportedModel
from bench.models.model_card import model_card
from bench.store.store import Store
from bench.store.sums import write_summed
from bench.suite.loading import load_suite

LEARNED = "policy: seed 0"


@pytest.fixture
def store(small_run, tmp_path):
    """The small run's store; its records may be changed, its artifacts not."""
    root = tmp_path / "store"
    root.mkdir()
    for path in small_run.store.root.iterdir():
        if path.name == "records":
            shutil.copytree(path, root / "records")
        else:
            (root / path.name).symlink_to(path)
    return Store(root)


@pytest.fixture
def card(small_run):
    def card(label):
        return model_card(small_run.record(label), small_run.store, sums={"a": "b" * 64})

    return card


def section(text, name):
    return text.split(f"## {name}\n\n")[1].split("\n\n## ")[0]


def table(text):
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    return {row[0]: row[1:] for row in rows[2:]}


def test_the_folder_holds_the_artifacts_byte_for_byte(small_run, store, tmp_path):
    out = tmp_path / "out"
    names = export_cell(f"small:{LEARNED}", store, out)
    assert sorted(path.name for path in out.iterdir()) == names
    assert names == [
        *("NOTICE", "README.md", "SHA256SUMS", "config.yaml"),
        *("policy.safetensors", "tokenizer.safetensors"),
    ]
    for name, path in (("policy", "policy"), ("tokenizer", "bank/tokenizer")):
        artifact = small_run.artifact(LEARNED, path) / f"{name}.safetensors"
        assert (out / artifact.name).read_bytes() == artifact.read_bytes()
    sums = check_sums(out)
    assert set(sums) == set(names) - {"SHA256SUMS"}
    for name, sha256 in sums.items():
        assert hashlib.sha256((out / name).read_bytes()).hexdigest() == sha256
    if shutil.which("sha256sum"):
        subprocess.run(["sha256sum", "-c", "--quiet", "SHA256SUMS"], cwd=out, check=True)


def test_the_configuration_is_a_suite_of_the_very_same_stages(small_run, store, tmp_path):
    export_cell(f"small:{LEARNED}", store, tmp_path / "out")
    suite = load_suite(tmp_path / "out" / "config.yaml")
    (cell,) = suite.cells
    assert cell.key == small_run.record(LEARNED).cell_key
    (node,) = build_graph(suite).evaluations
    assert node.spec(store).key == small_run.spec(LEARNED).key


def test_a_length_taken_from_policies_is_a_number_in_the_configuration(store, tmp_path):
    export_cell("small:fixed_at_mean", store, tmp_path / "out")
    raw = yaml.safe_load((tmp_path / "out" / "config.yaml").read_text())
    assert isinstance(raw["base"]["tokenizer"]["budgets"][0], int)
    assert not (tmp_path / "out" / "policy.safetensors").exists()


def test_a_cell_by_each_of_its_names(small_run, store):
    record = small_run.record(LEARNED)
    for name in (record.cell_key, f"small:{record.cell_key}", f"small: {LEARNED}"):
        assert [one.cell_key for one in find_cells(name, store)] == [record.cell_key]
    by_file = f"{small_run.suite.path}:{LEARNED}"
    assert find_cells(by_file, store)[0].cell_key == record.cell_key
    assert len(find_cells("small:policy", store)) == 2


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("small:policy", ["means 2 cells", "'policy: seed 0'", "'policy: seed 1'"]),
        ("small:diverged: seed 0", ["has no result", "DivergedError"]),
        ("small:polcy", ["did you mean 'policy'"]),
        ("smal:policy", ["no suite 'smal'", "did you mean 'small'"]),
        ("0123456789abcdef", ["no cell with this key"]),
        ("small", ["give SUITE:ARM"]),
    ],
)
def test_what_is_no_one_cell_is_refused(store, tmp_path, name, expected):
    with pytest.raises(UserError) as error:
        export_cell(name, store, tmp_path / "out")
    assert all(part in str(error.value) for part in expected)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()


def test_what_is_there_is_not_replaced(store, tmp_path):
    (tmp_path / "out").mkdir()
    with pytest.raises(UserError, match="is there already"):
        export_cell("small:elastic", store, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_an_export_that_fails_leaves_nothing(store, tmp_path, monkeypatch):
    def torn(*_, **__):
        raise RuntimeError("torn")

    monkeypatch.setattr("bench.models.export.model_card", torn)
    with pytest.raises(RuntimeError, match="torn"):
        export_cell("small:elastic", store, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir() if "out" in path.name] == []


def test_artifacts_that_were_cleared_away_are_told(small_run, store, tmp_path):
    (store.root / "tokenizer").unlink()
    with pytest.raises(UserError, match="is missing; mend it with: adatok-bench run SUITE"):
        export_cell("small:elastic", store, tmp_path / "out")


def test_a_cell_of_another_kind_is_refused(small_run, store, tmp_path):
    key = small_run.record("elastic").cell_key
    path = store.root / "records" / "small" / f"{key}.json"
    write_summed(path, {**json.loads(path.read_text()), "kind": "throughput"})
    with pytest.raises(UserError, match="is a cell of throughput"):
        export_cell(key, store, tmp_path / "out")


def test_the_card_says_what_it_is_and_how_it_was_made(card, small_run):
    text = card(LEARNED)
    record = small_run.record(LEARNED)
    assert text.startswith(f"# small: {LEARNED}\n")
    assert "candidate budgets 1, 2, 4" in text
    assert "A policy gives each image its token budget" in text
    training = section(text, "How it was trained")
    assert record.protocol.images_digest in training
    described = small_run.store.description("data", small_run.spec("elastic", "bank/images").key)
    assert described["result"]["digest"] in training
    assert "steps 40" in training
    assert "constraint, mean_budget 2" in training
    assert str(record.provenance.git_commit) in training
    assert record.protocol_hash in section(text, "Protocol")
    assert "32 x 32 px" in section(text, "Limits")
    assert "MIT" in section(text, "Licence of the images")
    assert "b" * 64 in section(text, "Files")
    assert "--budget" not in section(text, "Use")


def test_the_card_of_a_cell_without_a_policy(card, small_run):
    text = card("elastic")
    assert "--budget K" in section(text, "Use")
    assert "4 tokens for every image" in section(text, "Budgets")
    values = table(section(text, "Metrics"))
    value, interval, over = values["PSNR (dB), higher is better"]
    psnr = small_run.record("elastic").metrics.value("psnr")
    assert float(value) == pytest.approx(psnr, rel=1e-3)
    low, high = map(float, interval.strip("[]").split(", "))
    assert low < float(value) < high
    assert over == "this cell over 24 images (BCa bootstrap)"


def test_intervals_are_over_seeds_where_there_are_some(card, small_run):
    values = table(section(card(LEARNED), "Metrics"))
    both = [small_run.record(f"policy: seed {seed}").metrics.value("fd_lite0") for seed in (0, 1)]
    value, interval, over = values["FD (Lite0), lower is better"]
    assert float(value) == pytest.approx(both[0], rel=1e-3)
    if both[0] != both[1]:
        low, high = map(float, interval.strip("[]").split(", "))
        assert (low + high) / 2 == pytest.approx(sum(both) / 2, rel=1e-2)
        assert over == "the mean over 2 policy seeds (Student t)"
    _, interval, over = values["KID (Lite0), lower is better"]
    metrics = small_run.record(LEARNED).metrics.root
    assert [float(one) for one in interval.strip("[]").split(", ")] == pytest.approx(
        [metrics["kid_lite0_low"], metrics["kid_lite0_high"]], rel=1e-3
    )


def test_the_shares_of_budgets_are_the_records(card, small_run):
    metrics = small_run.record(LEARNED).metrics.root
    shares = table(section(card(LEARNED), "Budgets"))
    assert {int(k): float(v[0]) for k, v in shares.items()} == pytest.approx(
        {k: metrics[f"share/tokens_{k}"] for k in (1, 2, 4)}, abs=1e-3
    )


def test_images_of_unknown_licence_and_a_heuristic_are_told(small_run, store, vary_record):
    record = small_run.record("elastic")
    folder = {"kind": "image_folder", "path": "photos", "resolution": 32}
    heuristic = {"kind": "png_size", "mean_budget": 2}
    settings = {**record.settings, "data": folder, "allocator": heuristic}
    text = model_card(vary_record(record, settings=settings), store, sums={})
    assert "not known" in section(text, "Licence of the images")
    assert "MIT" not in text
    assert "png_size, mean_budget 2.0) is not learned and not exported" in text


def test_of_several_rounds_the_last_tokenizer_and_its_policy_are_exported(codesign_run, tmp_path):
    """A policy that only chose lengths of training images is not the cell's."""
    store = codesign_run.store
    for label, files in (("chosen", {"tokenizer", "policy"}), ("told", {"tokenizer"})):
        out = tmp_path / label
        names = export_cell(f"codesign:{label}", store, out)
        assert {name for name in names if name.endswith(".safetensors")} == {
            f"{name}.safetensors" for name in files
        }
        for name in files:
            artifact = codesign_run.artifact(label, name) / f"{name}.safetensors"
            assert (out / artifact.name).read_bytes() == artifact.read_bytes()
        (cell,) = load_suite(out / "config.yaml").cells
        assert cell.key == codesign_run.record(label).cell_key
        assert "- Co-design: rounds" in (out / "README.md").read_text()
    pixels = read_image_set(codesign_run.artifact("chosen", "images")).pixels[:4]
    tokens = ExportedModel.load(tmp_path / "chosen").encode(np.array(pixels), None)
    assert {len(ids) for ids in tokens} <= {1, 2, 4}
    assert "; 60 steps in all" in (tmp_path / "chosen" / "README.md").read_text()
