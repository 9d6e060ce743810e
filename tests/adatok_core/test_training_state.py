import pytest
import torch
from torch import nn

from adatok_core.training_state import TrainingState, pack, unpack


def parts_of(seed, *, width=3):
    torch.manual_seed(seed)
    network = nn.Sequential(nn.Linear(width, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.1, fused=True)
    return {"network": network, "optimizer": optimizer}


def train(parts, *, steps, first=0):
    for step in range(first, first + steps):
        inputs = torch.randn(8, 3, generator=torch.Generator().manual_seed(step))
        parts["optimizer"].zero_grad()
        parts["network"](inputs).square().mean().backward()
        parts["optimizer"].step()
    return parts


def test_names_begin_with_the_part():
    tensors = pack(train(parts_of(0), steps=1))
    names = {f"network.{name}" for name in parts_of(0)["network"].state_dict()}
    moments = {f"optimizer.{i}.{k}" for i in range(6) for k in ("step", "exp_avg", "exp_avg_sq")}
    assert tensors.keys() == names | moments
    assert all(t.device.type == "cpu" and not t.requires_grad for t in tensors.values())


def test_a_resumed_training_ends_in_the_same_bits():
    whole = pack(train(parts_of(0), steps=7))
    half = pack(train(parts_of(0), steps=3))
    resumed = parts_of(1)
    unpack(resumed, half)
    resumed = pack(train(resumed, steps=4, first=3))
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_a_state_shares_nothing_with_those_that_train_on():
    parts = train(parts_of(0), steps=2)
    taken = pack(parts)
    kept = {name: tensor.clone() for name, tensor in taken.items()}
    train(parts, steps=2, first=2)
    resumed = parts_of(1)
    unpack(resumed, taken)
    train(resumed, steps=2, first=2)
    assert all(torch.equal(taken[name], kept[name]) for name in taken)


def test_an_untrained_optimizer_comes_back_without_moments():
    fresh = pack(parts_of(0))
    assert not any(name.startswith("optimizer") for name in fresh)
    parts = train(parts_of(1), steps=2)
    unpack(parts, fresh)
    assert pack(parts).keys() == fresh.keys()


def test_a_part_s_name_that_begins_like_another_s_is_kept_apart():
    parts = {"a": nn.Linear(1, 1), "a_b": nn.Linear(1, 1), "a_b_c": nn.Linear(1, 1)}
    tensors = pack(parts)
    fresh = {name: nn.Linear(1, 1) for name in parts}
    unpack(fresh, tensors)
    assert all(torch.equal(fresh[name].weight, parts[name].weight) for name in parts)


def test_a_state_of_another_shape_is_refused():
    with pytest.raises(RuntimeError, match="size mismatch"):
        unpack(parts_of(0, width=2), pack(parts_of(0)))
    with pytest.raises(RuntimeError, match="Missing key"):
        unpack(parts_of(0), {})
    with pytest.raises(RuntimeError, match="which this training has not"):
        unpack({"other": nn.Linear(1, 1)}, pack(parts_of(0)))


def test_a_training_state_is_frozen():
    state = TrainingState({}, 0, [])
    with pytest.raises(AttributeError):
        state.step = 1
