import numpy as np
import pytest
import torch

from adatok_core.config import PolicyConfig
from adatok_core.policy_training import train_policy
from bench.bank import Bank
from bench.checkpoints import load_tensors
from bench.settings import parse
from bench.stages import policy

CELL = "policy: seed 0"


@pytest.fixture(scope="module")
def bank(small_run):
    return Bank.read(small_run.artifact(CELL, "policy/bank"))


def trained_directly(bank, config, columns):
    return train_policy(
        parse(PolicyConfig, config, where=""),
        latents=torch.from_numpy(np.array(bank.array("latents"))),
        distortion=torch.from_numpy(bank.per_budget("mse")[:, columns]).float(),
        max_tokens=4,
    )


@pytest.mark.parametrize(
    ("config", "columns"),
    [
        ({}, [0, 1, 2]),
        ({"candidates": [1, 4]}, [0, 2]),
        ({"candidates": [1, 2], "weighting": {"kind": "fixed", "efficiency": 0.4}}, [0, 1]),
    ],
)
def test_trains_on_the_candidates_of_the_bank(context, bank, config, columns):
    stage = context(CELL, "policy", config=config)
    result = policy.run(stage)
    expected = trained_directly(bank, stage.spec.config, columns)
    tensors, about = load_tensors(stage.work / "policy.safetensors")
    for name, tensor in expected.policy.state_dict().items():
        assert torch.equal(tensors[name], tensor)
    assert about == {"policy": stage.spec.config, "latents": 4, "width": 16}
    assert result["history"] == expected.history
    assert result["parameters"] == sum(p.numel() for p in expected.policy.parameters())


def test_the_trajectory_is_part_of_the_result(small_run):
    spec = small_run.spec(CELL, "policy")
    result = small_run.store.description("policy", spec.key)["result"]
    assert [row["step"] for row in result["history"]] == [10, 20, 30]
    assert set(result["history"][0]) >= {
        "step",
        "mean_budget",
        "entropy",
        "kl_to_uniform",
        "weight_fidelity",
        "weight_efficiency",
        "share_1",
        "share_2",
        "share_4",
    }
    assert result["history"][-1]["entropy"] < result["history"][0]["entropy"]


def test_the_seed_is_of_effect(small_run):
    first, second = (
        load_tensors(small_run.artifact(f"policy: seed {seed}", "policy") / "policy.safetensors")[0]
        for seed in (0, 1)
    )
    assert not torch.equal(first["queries"], second["queries"])


def test_the_policy_that_is_loaded_chooses_as_the_one_that_was_trained(small_run, bank):
    loaded, config = policy.load_policy(small_run.artifact(CELL, "policy"))
    assert not loaded.training
    assert config.candidates == (1, 2, 4)
    expected = trained_directly(bank, small_run.spec(CELL, "policy").config, [0, 1, 2]).policy
    latents = torch.from_numpy(np.array(bank.array("latents"))).float()
    assert torch.equal(loaded(latents), expected(latents))


def test_tokens_that_change_nothing_leave_nothing_to_learn(small_run, context, tmp_path):
    source = small_run.artifact(CELL, "policy/bank")
    flat = tmp_path / "flat"
    flat.mkdir()
    (flat / "bank.json").write_bytes((source / "bank.json").read_bytes())
    (flat / "latents.npy").write_bytes((source / "latents.npy").read_bytes())
    np.save(flat / "mse.npy", np.full((40, 3), 0.1, np.float32))
    with pytest.raises(ValueError, match="distortion"):
        policy.run(context(CELL, "policy", inputs={"bank": flat}))
