import json

import numpy as np
import pandas as pd
import pytest

from bench.artifacts.bank import Bank, tokenizer_sha256
from bench.errors import UserError

BUDGETS = [2, 4, 8, 16]
FEATURES = np.arange(3 * 4 * 2, dtype=np.float32).reshape(3, 4, 2)


@pytest.fixture
def bank(tmp_path):
    np.save(tmp_path / "mse.npy", np.linspace(1, 0, 12, dtype=np.float32).reshape(3, 4))
    np.save(tmp_path / "lite0.npy", FEATURES)
    np.save(tmp_path / "evil.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    pd.DataFrame({"id": ["a", "b"], "budget": [2, 4]}).to_parquet(tmp_path / "images.parquet")
    about = {"budgets": BUDGETS, "extractors": {"lite0": {"input_px": 64}}}
    (tmp_path / "bank.json").write_text(json.dumps(about))
    return Bank.read(tmp_path)


def test_what_it_says_about_itself(bank):
    assert bank.budgets.tolist() == BUDGETS
    assert bank.extractors == ["lite0"]
    assert bank.table()["id"].tolist() == ["a", "b"]


def test_arrays_are_mapped_not_read(bank):
    assert isinstance(bank.array("lite0"), np.memmap)
    assert not bank.array("lite0").flags.writeable


def test_errors_are_float64(bank):
    assert bank.per_budget("mse").dtype == np.float64
    assert bank.per_budget("mse").shape == (3, 4)


def test_features_of_an_allocation_take_each_image_at_its_budget(bank):
    np.testing.assert_array_equal(
        bank.features("lite0", np.array([3, 0, 1])), [[6, 7], [8, 9], [18, 19]]
    )


def test_columns_of_candidates(bank):
    assert bank.columns([2, 8, 16]).tolist() == [0, 2, 3]


def test_another_tokenizer_than_its_own_is_refused(bank, tmp_path):
    artifact = tmp_path / "tokenizer"
    artifact.mkdir()
    (artifact / "tokenizer.safetensors").write_bytes(b"weights")
    bank.about["tokenizer_sha256"] = tokenizer_sha256(artifact)
    bank.require_tokenizer(artifact)
    (artifact / "tokenizer.safetensors").write_bytes(b"others")
    with pytest.raises(UserError, match=r"another tokenizer \(\w{12}\) than .*tokenizer") as error:
        bank.require_tokenizer(artifact)
    assert "\n" not in str(error.value)


def test_an_array_is_never_unpickled(bank):
    with pytest.raises(ValueError, match="Python objects"):
        bank.array("evil")
