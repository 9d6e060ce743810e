import numpy as np
import pytest
import torch

from adatok_core.config import PolicyConfig
from adatok_core.policy_training import CalibrationSet, PolicyTrainer
from adatok_core.rewards import RewardTable
from bench.allocators.policy_features import policy_features
from bench.artifacts import networks
from bench.artifacts.bank import Bank
from bench.config.settings import parse
from bench.errors import UserError
from bench.stages import policy
from bench.store.checkpoints import load_state, load_tensors
from bench.store.curve import FILE as CURVE
from bench.store.curve import CurveReader

CELL = "policy: seed 0"


@pytest.fixture(scope="module")
def bank(small_run):
    return Bank.read(small_run.artifact(CELL, "policy/bank"))


def trained_directly(bank, config, columns, perceptual=None):
    """The finished trainer of a policy on the latents of `bank`."""
    config = parse(PolicyConfig, config, where="")
    latents = torch.from_numpy(np.array(bank.array("latents")))
    mse = torch.from_numpy(bank.per_budget("mse")[:, columns]).float()
    trainer = PolicyTrainer(
        config,
        load=lambda rows: latents[rows],
        length=4,
        width=16,
        rewards=RewardTable.of(
            mse, config.candidates, max_tokens=4, config=config.reward, perceptual=perceptual
        ),
        mse=mse,
    )
    list(trainer.run())
    return trainer


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
    for name, tensor in expected.trained_policy().state_dict().items():
        assert torch.equal(tensors[name], tensor)
    assert about == {"policy": stage.spec.config, "length": 4, "width": 16}
    assert result["history"] == expected.history
    assert result["parameters"] == sum(p.numel() for p in expected.policy.parameters())


def test_the_reward_weighs_the_banks_perceptual_distances(method_run, context):
    cell = "policy: input quantized"
    made = Bank.read(method_run.artifact(cell, "policy/bank"))
    config = {"input": "latents", "reward": {"perceptual_share": 0.75}}
    stage = context(cell, "policy", of=method_run, config=config)
    result = policy.run(stage)
    columns = [0, 2, 3]  # of 1, 3 and 4 tokens
    perceptual = torch.from_numpy(made.per_budget("perceptual")[:, columns]).float()
    expected = trained_directly(made, stage.spec.config, columns, perceptual)
    assert result["history"] == expected.history
    without = {**stage.spec.config, "reward": {"perceptual_share": 0.0}}
    assert result["history"] != trained_directly(made, without, columns).history


def test_a_constraint_is_made_to_hold_on_the_images_set_aside(method_run, context):
    cell = "policy: input quantized"
    made = Bank.read(method_run.artifact(cell, "policy/bank"))
    aside = Bank.read(method_run.artifact(cell, "policy/calibration"))
    assert len(aside.array("ids")) == 16
    columns, latents = [0, 2, 3], torch.from_numpy(np.array(aside.array("latents")))
    config = {"input": "latents", "reward": {}}
    for constraint in ({"mean_budget": 2.5}, {"quality_drop": 0.3}):
        weighting = {"weighting": {"kind": "constraint", **constraint}}
        stage = context(cell, "policy", of=method_run, config=config | weighting)
        policy.run(stage)
        trainer = trained_directly(made, stage.spec.config, columns)
        mse = torch.from_numpy(aside.per_budget("mse")[:, columns]).float()
        fidelity = RewardTable.of(mse, [1, 3, 4], max_tokens=4).fidelity
        expected = trainer.trained_policy(CalibrationSet(lambda rows: latents[rows], fidelity))
        bias = load_tensors(stage.work / "policy.safetensors")[0]["logits.bias"]
        assert torch.equal(bias, expected.logits.bias)
        assert not torch.equal(bias, trainer.trained_policy().logits.bias)


def test_pixels_of_the_images_set_aside_are_their_own(method_run):
    """The policy of the run spends what it was told to on them."""
    cell = "policy: input pixels"
    trained, config = networks.load_policy(method_run.artifact(cell, "policy"))
    seen = policy_features(
        config,
        Bank.read(method_run.artifact(cell, "policy/calibration")),
        tokenizer=None,
        images=method_run.artifact(cell, "policy/calibration_images"),
    )
    with torch.inference_mode():
        picked = trained.choose(seen.load(torch.arange(16)))
    assert torch.tensor([1.0, 3.0, 4.0])[picked].mean() == pytest.approx(3, abs=2 / 16)


def test_progress_is_told_as_often_as_it_is_logged(context):
    stage = context(CELL, "policy", config={"log_every": 12})
    policy.run(stage)
    assert stage.told == [12, 24]


@pytest.mark.parametrize(
    "config",
    [
        {"weighting": {"kind": "constraint", "mean_budget": 2}},
        {"objective": {"kind": "ppo"}},
        {
            "objective": {
                "kind": "sampled_group",
                "kl": {"coefficient": {"start": 0.1, "end": 0.1}, "reference": "snapshot"},
            },
            "weighting": {"kind": "hypervolume", "reference": "untrained", "every": 4},
        },
        {"objective": {"kind": "reinforce"}, "weighting": {"kind": "gradient"}},
    ],
    ids=["constraint", "ppo", "snapshot and hypervolume", "reinforce and gradient"],
)
def test_an_interrupted_training_goes_on_to_the_identical_file(context, config):
    config = {**config, "checkpoint_every": 15}
    whole = context(CELL, "policy", config=config, work="whole")
    result = policy.run(whole)
    interrupted = context(CELL, "policy", config=config, stop_at=20)
    with pytest.raises(KeyboardInterrupt):
        policy.run(interrupted)
    assert load_state(interrupted.work).step == 15
    assert [row["step"] for row in CurveReader(interrupted.work).rows()] == [10, 20]
    assert not (interrupted.work / "policy.safetensors").exists()
    resumed = context(CELL, "policy", config=config)
    assert policy.run(resumed) == result
    assert resumed.told == [20, 30]
    assert {p.name for p in resumed.work.iterdir()} == {"policy.safetensors", CURVE}
    name = "policy.safetensors"
    assert (resumed.work / name).read_bytes() == (whole.work / name).read_bytes()


@pytest.mark.parametrize(
    ("changes", "length", "width"),
    [
        ({"input": "latents"}, 4, 16),
        ({"input": "quantized"}, 4, 6),
        ({"input": "quantized", "prefix": 2}, 2, 6),
        ({"input": "pixels"}, 16, 3 * 8 * 8),
    ],
)
def test_a_policy_has_the_shape_of_its_input(method_run, context, changes, length, width):
    stage = context(
        "policy: input pixels",
        "policy",
        of=method_run,
        config={**changes, "steps": 2},
        inputs={"tokenizer": method_run.artifact("policy: input quantized", "policy/tokenizer")},
    )
    policy.run(stage)
    loaded, config = networks.load_policy(stage.work)
    assert (config.input, config.prefix) == (changes["input"], changes.get("prefix"))
    assert loaded(torch.zeros(1, length, width)).shape == (1, 3)
    assert loaded.position_bias.shape[1] == length


def test_the_trajectory_is_part_of_the_result(small_run):
    spec = small_run.spec(CELL, "policy")
    result = small_run.store.description("policy", spec.key)["result"]
    assert [row["step"] for row in result["history"]] == [10, 20, 30]
    assert set(result["history"][0]) >= {
        "step",
        "mean_budget",
        "entropy",
        "kl_to_reference",
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
    loaded, config = networks.load_policy(small_run.artifact(CELL, "policy"))
    assert not loaded.training
    assert config.candidates == (1, 2, 4)
    expected = trained_directly(bank, small_run.spec(CELL, "policy").config, [0, 1, 2])
    latents = torch.from_numpy(np.array(bank.array("latents"))).float()
    assert torch.equal(loaded(latents), expected.trained_policy()(latents))


def test_a_bank_of_another_tokenizer_is_refused(method_run, small_run, context):
    other = {"tokenizer": small_run.artifact("elastic", "bank/tokenizer")}
    with pytest.raises(UserError, match="made with another tokenizer"):
        policy.run(context("policy: input quantized", "policy", of=method_run, inputs=other))


def test_a_batch_of_more_images_than_the_bank_has_is_refused(context):
    with pytest.raises(UserError, match=r"policy\.batch: 41 exceeds the 40 images"):
        policy.run(context(CELL, "policy", config={"batch": 41}))


def test_tokens_that_change_nothing_leave_nothing_to_learn(small_run, context, tmp_path):
    source = small_run.artifact(CELL, "policy/bank")
    flat = tmp_path / "flat"
    flat.mkdir()
    (flat / "bank.json").write_bytes((source / "bank.json").read_bytes())
    (flat / "latents.npy").write_bytes((source / "latents.npy").read_bytes())
    np.save(flat / "mse.npy", np.full((40, 3), 0.1, np.float32))
    with pytest.raises(ValueError, match="distortion"):
        policy.run(context(CELL, "policy", inputs={"bank": flat}))
