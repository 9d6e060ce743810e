import math
import os
import pickle
import shutil

import pytest
import torch
from safetensors import SafetensorError

from adatok_core.training_state import TrainingState
from bench.store import checkpoints
from bench.store.checkpoints import (
    BEFORE,
    CHECKPOINT,
    load_state,
    load_tensors,
    remove_states,
    save_state,
    save_tensors,
)

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


def state_at(step):
    history = [{"step": 1, "loss": 0.1 + 0.2}, {"step": step, "loss": math.pi}]
    return TrainingState({**TENSORS, "step": torch.tensor(float(step))}, step, history)


def test_a_state_comes_back_whole(tmp_path):
    save_state(tmp_path, state_at(2))
    state = load_state(tmp_path)
    assert (state.step, state.history) == (2, state_at(2).history)
    assert torch.equal(state.tensors["half"], TENSORS["half"])


def test_two_states_are_kept_and_removed(tmp_path):
    assert load_state(tmp_path) is None
    for step in (1, 2, 3):
        save_state(tmp_path, state_at(step))
    assert {path.name for path in tmp_path.iterdir()} == {CHECKPOINT, BEFORE}
    assert load_state(tmp_path).step == 3
    (tmp_path / CHECKPOINT).unlink()  # As if killed between the two renames.
    assert load_state(tmp_path).step == 2
    remove_states(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("links", [True, False])
def test_a_kill_while_a_state_is_written_loses_none_that_was(tmp_path, monkeypatch, links):
    def refuse(*asked):
        raise OSError("no links here")

    def killed(*asked, **more):
        raise KeyboardInterrupt

    if not links:
        monkeypatch.setattr(checkpoints.os, "link", refuse)
    for step in (1, 2, 3):
        save_state(tmp_path, state_at(step))
    monkeypatch.setattr(checkpoints, "save_file", killed)
    with pytest.raises(KeyboardInterrupt):
        save_state(tmp_path, state_at(4))
    assert load_state(tmp_path).step == 3
    assert (tmp_path / CHECKPOINT).exists() == links
    assert (tmp_path / BEFORE).exists()


def flipped(path):
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    "damage",
    [
        flipped,
        lambda path: path.write_bytes(path.read_bytes()[:-9]),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"{}" * 99),
        lambda path: shutil.copy(path.parents[1] / "other" / CHECKPOINT, path),
    ],
    ids=["flipped", "truncated", "empty", "foreign", "of another stage"],
)
def test_the_older_state_serves_where_the_newer_is_damaged(tmp_path, capsys, damage):
    for name, steps in (("mine", (1, 2)), ("other", (7,))):
        (tmp_path / name).mkdir()
        for step in steps:
            save_state(tmp_path / name, state_at(step))
    newest = tmp_path / "mine" / CHECKPOINT
    damage(newest)
    assert load_state(tmp_path / "mine").step == 1
    assert capsys.readouterr().err == f"warning: {newest}: damaged, and not gone on from\n"


def test_a_state_of_the_first_version_bears_no_seal(tmp_path):
    about = {"step": 4, "history": []}
    save_tensors(tmp_path / CHECKPOINT, TENSORS, about=about)
    assert load_state(tmp_path).step == 4


def test_what_is_written_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    done = []
    monkeypatch.setattr(checkpoints, "sync", lambda path: done.append(path.name))
    replace = os.replace
    monkeypatch.setattr(os, "replace", lambda *args: (done.append("rename"), replace(*args)))
    save_tensors(tmp_path / "w", TENSORS, about={})
    assert done == [f".w.{os.getpid()}", "rename", tmp_path.name]


def test_a_pickle_is_not_read(tmp_path):
    path = tmp_path / "evil"
    path.write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(SafetensorError):
        load_tensors(path)
