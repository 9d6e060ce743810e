import json

import numpy as np
import pandas as pd
import pytest

from bench.allocators.own import OwnBank
from bench.artifacts.bank import Bank
from bench.errors import UserError
from bench.judging.judge import Judge

TARGETS = [0.05, 0.1]


@pytest.fixture
def folder(tmp_path):
    """Three images, budgets 2 and 4; two targets at which the tokenizer halted by itself."""
    arrays = {
        "mse": [[9, 8], [7, 6], [5, 4]],
        "own_mse": [[3, 6], [2, 5], [1, 4]],
        "own_tokens": [[4, 1], [3, 2], [4, 1]],
        "lite0_originals": [[0, 0], [1, 1], [2, 2]],
        "lite0": np.zeros((3, 2, 2)),
        "own_lite0": np.arange(12).reshape(3, 2, 2),
        "inception": np.zeros((3, 2, 2)),
    }
    for name, values in arrays.items():
        np.save(tmp_path / f"{name}.npy", np.array(values, dtype=np.float32))
    table = pd.DataFrame({"id": list("aabbcc"), "sha256": list("xxyyzz"), "budget": [2, 4] * 3})
    table["mse"] = np.ravel(arrays["mse"])
    table.to_parquet(tmp_path / "images.parquet")
    about = {
        "budgets": [2, 4],
        "own_targets": TARGETS,
        "arrays": sorted(arrays),
        "extractors": {"lite0": {"input_px": 64}, "inception": {"input_px": 299}},
        "bits_per_token": 3.0,
    }
    (tmp_path / "bank.json").write_text(json.dumps(about))
    return tmp_path


@pytest.fixture
def own(folder):
    return OwnBank.of(Bank.read(folder))


def test_its_arrays_go_by_the_names_of_a_banks(own):
    chosen = np.full(3, own.column(0.1))
    assert chosen.tolist() == [1, 1, 1]
    assert own.per_budget("mse").tolist() == [[3, 6], [2, 5], [1, 4]]
    assert own.array("lite0_originals").tolist() == [[0, 0], [1, 1], [2, 2]]
    assert own.features("lite0", chosen)[:].tolist() == [[2, 3], [6, 7], [10, 11]]
    assert own.tokens(chosen).tolist() == [1, 2, 1]
    assert own.extractors == ["lite0"]  # the other network's features were not taken


def test_it_is_judged_like_a_bank(own):
    judge = Judge(own)
    metrics = judge.metrics(np.zeros(3, dtype=int), kernel=False)
    assert metrics["mean_tokens"] == pytest.approx(11 / 3)
    assert (metrics["min_tokens"], metrics["max_tokens"]) == (3, 4)
    assert metrics["mse"] == 2
    assert judge.bits(np.zeros(3, dtype=int), 4) == {"bits": pytest.approx(11 + 2)}


def test_a_row_per_image_with_the_length_it_took(own):
    rows = own.rows(np.ones(3, dtype=int))
    assert rows["id"].tolist() == ["a", "b", "c"]
    assert rows["sha256"].tolist() == ["x", "y", "z"]
    assert rows["budget"].tolist() == [1, 2, 1]
    assert rows["mse"].tolist() == [6, 5, 4]


def test_a_target_that_was_not_decoded_is_refused(own):
    with pytest.raises(UserError, match=r"allocator\.target: 0\.2 is none of .* 0\.05, 0\.1 "):
        own.column(0.2)


@pytest.mark.parametrize("missing", [None, []])
def test_a_tokenizer_that_does_not_halt_has_none(folder, missing):
    about = json.loads((folder / "bank.json").read_text())
    (folder / "bank.json").write_text(json.dumps({**about, "own_targets": missing}))
    with pytest.raises(UserError, match=r"allocator\.kind: own: .* choose another allocator"):
        OwnBank.of(Bank.read(folder))
