import math
import os
import pickle

import pytest
import torch
from safetensors import SafetensorError

from adatok_core.training_state import TrainingState
from bench.store.checkpoints import load_state, load_tensors, save_state, save_tensors

TENSORS = {
    "a": torch.arange(6.0).reshape(2, 3),
    "half": torch.tensor([0.1, -2.0], dtype=torch.bfloat16),
    "ids": torch.tensor([[1, 2]], dtype=torch.int32),
    "step": torch.tensor(3.0),
}


def test_tensors_and_facts_come_back_bit_for_bit(tmp_path):
    path = tmp_path / "w.safetensors"
    about = {"width": 3, "name": "ü", "budgets": [1, 2]}
    save_tensors(path, TENSORS, about=about)
    tensors, read = load_tensors(path)
    assert read == about
    assert tensors.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert tensors[name].dtype == tensor.dtype
        assert torch.equal(tensors[name], tensor)
    assert [p.name for p in tmp_path.iterdir()] == ["w.safetensors"]


def test_views_and_gradients_are_written_as_plain_values(tmp_path):
    weight = torch.arange(6.0).reshape(2, 3).requires_grad_()
    save_tensors(tmp_path / "w", {"t": weight.T}, about={})
    assert torch.equal(load_tensors(tmp_path / "w")[0]["t"], weight.detach().T)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "w"
    save_tensors(path, {"a": torch.zeros(2)}, about={"step": 1})

    def killed(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        save_tensors(path, {"a": torch.ones(2)}, about={"step": 2})
    assert load_tensors(path)[1] == {"step": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["w"]


def test_a_state_comes_back_whole(tmp_path):
    history = [{"step": 1, "loss": 0.1 + 0.2}, {"step": 2, "loss": math.pi}]
    save_state(tmp_path / "s", TrainingState(TENSORS, 2, history))
    state = load_state(tmp_path / "s")
    assert (state.step, state.history) == (2, history)
    assert torch.equal(state.tensors["half"], TENSORS["half"])


def test_a_pickle_is_not_read(tmp_path):
    path = tmp_path / "evil"
    path.write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(SafetensorError):
        load_tensors(path)
