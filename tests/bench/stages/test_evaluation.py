import json
import math
import shutil
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch

from adatok_core.config import PolicyConfig
from adatok_core.policy_training import build_policy
from bench.allocators.allocation import agnostic_curve, oracle_curve
from bench.artifacts.bank import Bank
from bench.artifacts.networks import load_policy, load_tokenizer
from bench.errors import UserError
from bench.judging.judge import Judge
from bench.metrics.frechet import frechet_distance, gaussian_statistics
from bench.metrics.generative import inception_score, precision_recall
from bench.metrics.kernel.distance import KernelReference
from bench.metrics.kernel.interval import kernel_interval
from bench.metrics.networks.lite import lite_logits
from bench.records.protocol import Protocol
from bench.stages import evaluation
from bench.store.checkpoints import save_tensors

CELL = "policy: seed 0"
BUDGETS = np.array([1, 2, 4])


@pytest.fixture(scope="module")
def bank(small_run):
    return Bank.read(small_run.artifact(CELL, "bank"))


@pytest.fixture(scope="module")
def chosen(small_run, bank):
    policy, _ = load_policy(small_run.artifact(CELL, "policy"))
    with torch.inference_mode():
        latents = torch.from_numpy(np.array(bank.array("latents"))).float()
        return policy.choose(latents).numpy()


def at(table, chosen):
    return np.array([table[image, column] for image, column in enumerate(chosen)])


def test_metrics_are_those_of_each_image_at_its_budget(small_run, bank, chosen):
    metrics = small_run.content(CELL)["metrics"]
    tokens = BUDGETS[chosen]
    assert metrics["mean_tokens"] == tokens.mean()
    assert (metrics["min_tokens"], metrics["max_tokens"]) == (tokens.min(), tokens.max())
    for name in ("mse", "psnr", "ssim", "perceptual"):
        expected = at(bank.per_budget(name), chosen).mean()
        assert metrics[name] == pytest.approx(expected, rel=1e-12)
    features, originals = at(bank.array("lite0"), chosen), bank.array("lite0_originals")
    expected = frechet_distance(gaussian_statistics(features), gaussian_statistics(originals))
    assert metrics["fd_lite0"] == pytest.approx(expected, rel=1e-6)
    expected = KernelReference(features).distance(originals)
    assert metrics["kid_lite0"] == pytest.approx(expected, rel=1e-6)
    interval = kernel_interval(originals, features)
    assert (metrics["kid_lite0_low"], metrics["kid_lite0_high"]) == (interval.low, interval.high)
    assert "rfid" not in metrics
    assert "kid" not in metrics


def test_what_else_is_told_of_a_policy(small_run, bank, chosen):
    metrics = small_run.content(CELL)["metrics"]
    shares = [metrics[f"share/tokens_{budget}"] for budget in BUDGETS]
    assert shares == pytest.approx(np.bincount(chosen, minlength=3) / 24)
    assert sum(shares) == pytest.approx(1)
    assert metrics["bits"] == pytest.approx(BUDGETS[chosen].mean() * math.log2(25) + math.log2(3))
    assert metrics["collapsed"] is (max(shares) > 0.995)
    assert metrics["codebook_usage"] == bank.about["codebook"]["usage"]
    policy, _ = load_policy(small_run.artifact(CELL, "policy"))
    with torch.inference_mode():
        latents = torch.from_numpy(np.array(bank.array("latents"))).float()
        entropy = torch.distributions.Categorical(logits=policy(latents)).entropy().mean()
    assert metrics["policy_entropy"] == pytest.approx(entropy.item(), rel=1e-5)
    assert metrics["untrained_share"] == 0


def test_speed_is_averaged_over_seconds_per_image(small_run, bank, chosen):
    record = small_run.content(CELL)
    rates = bank.about["throughput"]["decode_images_per_second"]
    seconds = [1 / rates[str(budget)]["median"] for budget in BUDGETS[chosen]]
    assert record["metrics"]["decode_images_per_second"] == pytest.approx(1 / np.mean(seconds))
    assert record["throughput"] == bank.about["throughput"]


@pytest.mark.parametrize("name", ["fixed", "agnostic", "shuffled", "oracle"])
def test_controls_spend_the_policys_tokens(small_run, name):
    record = small_run.content(CELL)
    control = record["controls"][name]
    short = record["metrics"]["mean_tokens"] - control["mean_tokens"]
    if name == "shuffled":
        assert short == 0
    elif name in ("fixed", "agnostic"):
        assert abs(short) <= 1 / 24  # half of the widest step, per image
    else:
        assert 0 <= short <= 2 / 24
    assert set(control) >= {"mse", "psnr", "perceptual", "fd_lite0"}


def test_skill_lies_between_ignoring_the_image_and_the_oracle(small_run, bank, chosen):
    record = small_run.content(CELL)
    mse, tokens = bank.per_budget("mse"), BUDGETS[chosen].mean()
    agnostic = agnostic_curve(mse, BUDGETS).at(tokens)
    oracle = oracle_curve(mse, BUDGETS).at(tokens)
    skill = (agnostic - at(mse, chosen).mean()) / (agnostic - oracle)
    assert record["metrics"]["allocation_skill"] == pytest.approx(skill, rel=1e-6)
    assert record["controls"]["oracle"]["allocation_skill"] == pytest.approx(1, abs=0.05)
    assert record["controls"]["oracle"]["mse"] <= record["metrics"]["mse"]


def test_a_row_per_image_at_its_budget(small_run, bank, chosen):
    table = pd.read_parquet(small_run.artifact(CELL) / "images.parquet")
    assert len(table) == 24
    assert table["budget"].tolist() == BUDGETS[chosen].tolist()
    assert table["id"].tolist() == bank.table()["id"].unique().tolist()
    assert table["mse"].mean() == pytest.approx(small_run.content(CELL)["metrics"]["mse"], rel=1e-6)


def test_the_protocol_is_part_of_the_result(small_run, bank):
    record = small_run.content(CELL)
    protocol = Protocol.of_bank(bank.about, estimators=Judge(bank).estimators)
    assert protocol.estimators["kid_interval"] == {"images_per_block": 2, "level": 0.95}
    assert record["protocol"] == json.loads(json.dumps(protocol.plain()))
    assert record["protocol_hash"] == protocol.hash
    assert {r.protocol_hash for r in small_run.result.records if r.done} == {protocol.hash}


def test_a_tokenizer_alone_is_its_curve_over_fixed_budgets(small_run, bank):
    record = small_run.content("elastic")
    assert record["allocator"] == "fixed"
    assert record["controls"] == {}
    assert [row["budget"] for row in record["curve"]] == [1, 2, 4]
    for column, row in enumerate(record["curve"]):
        for name in ("mse", "psnr", "ssim", "perceptual"):
            assert row[name] == pytest.approx(bank.per_budget(name)[:, column].mean(), rel=1e-12)
        assert row["mean_tokens"] == row["min_tokens"] == row["max_tokens"] == BUDGETS[column]
        assert row["bits"] == pytest.approx(BUDGETS[column] * math.log2(25))
        median = bank.about["throughput"]["decode_images_per_second"][str(BUDGETS[column])][
            "median"
        ]
        assert row["decode_images_per_second"] == pytest.approx(median)
        assert row["trained"] is True
    full = {k: v for k, v in record["curve"][-1].items() if k not in ("budget", "trained")}
    bits = bank.about["codebook"]["entropy_bits_by_position"]
    assert record["metrics"] == {
        **full,
        "codebook_usage": bank.about["codebook"]["usage"],
        "codebook_entropy_bits": bank.about["codebook"]["entropy_bits"],
        "bits_per_token": math.log2(25),
        "tail_entropy_ratio": bits[-1] / bits[0],
    }


def test_a_tokenizer_alone_has_a_row_per_image_and_budget(small_run, bank):
    table = pd.read_parquet(small_run.artifact("elastic") / "images.parquet")
    assert table["budget"].tolist() == [1, 2, 4] * 24
    np.testing.assert_allclose(table["mse"], bank.per_budget("mse").ravel())
    assert {"id", "sha256", "psnr", "perceptual"} <= {*table.columns}


def test_curves_of_what_ignoring_and_knowing_the_image_reach(small_run, bank):
    curves = small_run.content("elastic")["trade_offs"]
    mse = bank.per_budget("mse")
    for name, curve in (("agnostic", agnostic_curve), ("oracle", oracle_curve)):
        tokens, distortion = np.array(curves[name]).T
        assert (tokens[0], tokens[-1]) == pytest.approx((1, 4))
        expected = [curve(mse, BUDGETS).at(t) for t in tokens]
        np.testing.assert_allclose(distortion, expected, rtol=1e-12)
    one_length = small_run.content("fixed_at_mean")
    assert one_length["trade_offs"] == {}
    assert len(one_length["curve"]) == 1


@pytest.fixture
def lean(bank, tmp_path):
    """The bank without Lite0, so that no distance has to be computed."""
    folder = tmp_path / "lean"
    shutil.copytree(bank.path, folder)
    about = {**bank.about, "extractors": {}}
    (folder / "bank.json").write_text(json.dumps(about))
    return folder


def test_the_seed_draws_the_controls_alone(context, lean):
    def run(seed):
        result = evaluation.run(context(CELL, "", inputs={"bank": lean}, config={"seed": seed}))
        del result["metrics"]["policy_time_share"]  # measured anew
        return result

    first, same, other = run(0), run(0), run(1)
    assert first == same
    assert first["metrics"] == other["metrics"]
    assert first["controls"]["oracle"] == other["controls"]["oracle"]
    assert first["controls"]["shuffled"]["mse"] != other["controls"]["shuffled"]["mse"]
    assert first["controls"]["agnostic"]["mse"] != other["controls"]["agnostic"]["mse"]


@pytest.fixture
def constant(tmp_path):
    """`constant(index, candidates)`: a policy that gives every image the same budget."""

    def constant(index, candidates):
        settings = {"candidates": candidates}
        policy = build_policy(PolicyConfig(candidates=tuple(candidates)), length=4, width=16)
        with torch.no_grad():
            policy.logits.bias[index] = 5.0
        folder = tmp_path / "constant"
        folder.mkdir(exist_ok=True)
        save_tensors(
            folder / "policy.safetensors",
            policy.state_dict(),
            about={"policy": settings, "length": 4, "width": 16},
        )
        return folder

    return constant


@pytest.mark.parametrize(
    ("index", "candidates", "budget"), [(0, [1, 4], 1), (1, [1, 4], 4), (1, [1, 2, 4], 2)]
)
def test_one_budget_for_all_images_is_called_collapsed(
    context, lean, constant, index, candidates, budget
):
    inputs = {"bank": lean, "policy": constant(index, candidates)}
    result = evaluation.run(context(CELL, "", inputs=inputs))
    metrics = result["metrics"]
    assert metrics["collapsed"] is True
    assert metrics["mean_tokens"] == budget
    assert metrics[f"share/tokens_{budget}"] == 1.0
    assert metrics["bits"] == pytest.approx(budget * math.log2(25) + math.log2(len(candidates)))
    if budget in (1, 4):  # every allocation is the same there
        assert math.isnan(metrics["allocation_skill"])
    else:
        assert metrics["allocation_skill"] <= 1e-9
    for control in result["controls"].values():
        assert control["mean_tokens"] == pytest.approx(budget, abs=2 / 24)


def test_candidates_that_skip_a_budget_are_found_in_the_bank(context, lean, constant, bank):
    inputs = {"bank": lean, "policy": constant(1, [1, 4])}
    metrics = evaluation.run(context(CELL, "", inputs=inputs))["metrics"]
    assert metrics["mse"] == pytest.approx(bank.per_budget("mse")[:, 2].mean(), rel=1e-12)
    assert "share/tokens_2" not in metrics


def test_inceptions_features_give_rfid(context, lean, chosen):
    rng = np.random.default_rng(0)
    originals = rng.normal(size=(24, 5)).astype(np.float32)
    features = originals[:, None] + rng.normal(size=(24, 3, 5)).astype(np.float32)
    np.save(lean / "inception_originals.npy", originals)
    np.save(lean / "inception.npy", features)
    about = json.loads((lean / "bank.json").read_text())
    card = {"weights_sha256": "w", "layer": "pooled 2048", "input_px": 299}
    (lean / "bank.json").write_text(json.dumps({**about, "extractors": {"inception": card}}))
    result = evaluation.run(context(CELL, "", inputs={"bank": lean}))
    expected = frechet_distance(
        gaussian_statistics(at(features, chosen)), gaussian_statistics(originals)
    )
    assert result["metrics"]["rfid"] == pytest.approx(expected, rel=1e-6)
    assert result["metrics"]["kid"] == pytest.approx(
        KernelReference(at(features, chosen)).distance(originals), rel=1e-6
    )
    assert "fd_lite0" not in result["metrics"]
    assert "rfid" in result["controls"]["shuffled"]
    assert "kid" not in result["controls"]["shuffled"]
    assert result["protocol"]["extractors"] == {"inception": card}


def test_blocks_of_the_interval_and_scores_are_as_asked(context, bank, chosen):
    """`generative` and `kid_subset`, which is part of the protocol."""
    run = partial(context, CELL, "")
    usual = evaluation.run(run())
    result = evaluation.run(run(config={"kid_subset": 12, "generative": True}))
    features, originals = at(bank.array("lite0"), chosen), bank.array("lite0_originals")
    metrics = result["metrics"]
    interval = kernel_interval(originals, features, subset=12)
    assert (metrics["kid_lite0_low"], metrics["kid_lite0_high"]) == (interval.low, interval.high)
    assert metrics["kid_lite0"] == usual["metrics"]["kid_lite0"]
    assert metrics["is_lite0"] == inception_score(lite_logits("lite0", features))
    scores = precision_recall(features, originals)
    assert (metrics["precision_lite0"], metrics["recall_lite0"]) == scores
    assert not {"is_lite0", "precision_lite0", "recall_lite0"} & set(usual["metrics"])
    assert "is_lite0" not in result["controls"]["shuffled"]
    assert result["protocol"]["estimators"]["kid_interval"]["images_per_block"] == 12
    assert result["protocol_hash"] != usual["protocol_hash"]


def test_too_few_images_for_what_is_asked(context):
    with pytest.raises(UserError, match=r"kid_subset: 24 .* blocks of 13; lower it"):
        evaluation.run(context(CELL, "", config={"kid_subset": 13}))


def skill(table, budgets, picked):
    """As defined: the share that `picked` takes of what the oracle gains on the agnostic curve."""
    tokens = budgets[picked].mean()
    agnostic, oracle = agnostic_curve(table, budgets).at(tokens), oracle_curve(table, budgets)
    return (agnostic - at(table, picked).mean()) / (agnostic - oracle.at(tokens))


METHOD_CELLS = ["policy: input quantized", "policy: input pixels"]


@pytest.mark.parametrize("cell", METHOD_CELLS)
def test_skill_in_the_perceptual_distance_is_told_beside_that_in_mse(method_run, cell):
    metrics = method_run.content(cell)["metrics"]
    bank = Bank.read(method_run.artifact(cell, "bank"))
    table = pd.read_parquet(method_run.artifact(cell) / "images.parquet")
    candidates = np.array([1, 3, 4])
    picked = np.searchsorted(candidates, table["budget"])
    for name, error in (("allocation_skill", "mse"), ("allocation_skill_perceptual", "perceptual")):
        expected = skill(bank.per_budget(error)[:, [0, 2, 3]], candidates, picked)
        assert metrics[name] == pytest.approx(expected, rel=1e-5, nan_ok=True)
    assert metrics["untrained_share"] == (table["budget"] == 3).mean()


@pytest.mark.parametrize("cell", METHOD_CELLS)
def test_bits_are_those_of_the_quantizer(method_run, cell):
    """Two codebooks of four entries: four bits per token, and two to tell the length."""
    metrics = method_run.content(cell)["metrics"]
    assert metrics["bits_per_token"] == 4
    assert metrics["bits"] == pytest.approx(4 * metrics["mean_tokens"] + math.log2(3))
    assert method_run.content("plain")["metrics"]["bits"] == 16


@pytest.mark.parametrize("cell", [CELL, *METHOD_CELLS])
def test_the_cost_is_that_of_the_policy_on_its_own_input(small_run, method_run, cell):
    run = small_run if cell == CELL else method_run
    metrics = run.content(cell)["metrics"]
    policy, _ = load_policy(run.artifact(cell, "policy"))
    tokenizer = load_tokenizer(run.artifact(cell, "tokenizer"))
    size, whole, encoder = (
        sum(p.numel() for p in module.parameters())
        for module in (policy, tokenizer, tokenizer.encoder)
    )
    assert metrics["policy_parameter_share"] == pytest.approx(size / whole)
    assert metrics["policy_encoder_parameter_share"] == pytest.approx(size / encoder)
    assert metrics["policy_time_share"] > 0


@pytest.fixture
def unfair(method_run, tmp_path):
    """A bank without distances where the length never trained, 3, is perfect by accident."""
    source = method_run.artifact(METHOD_CELLS[0], "bank")
    folder = shutil.copytree(source, tmp_path / "unfair")
    mse = np.load(folder / "mse.npy")
    mse[:, 2] = 0
    np.save(folder / "mse.npy", mse)
    about = json.loads((folder / "bank.json").read_text())
    (folder / "bank.json").write_text(json.dumps({**about, "extractors": {}}))
    return folder


def test_lengths_never_trained_are_flagged_and_no_part_of_the_trade_offs(
    method_run, context, unfair
):
    result = evaluation.run(context("plain", "", of=method_run, inputs={"bank": unfair}))
    assert [(row["budget"], row["trained"]) for row in result["curve"]] == [
        (1, True),
        (2, True),
        (3, False),
        (4, True),
    ]
    assert result["curve"][2]["mse"] == 0
    trained, mse = np.array([1, 2, 4]), np.load(unfair / "mse.npy")[:, [0, 1, 3]]
    for name, curve in (("agnostic", agnostic_curve), ("oracle", oracle_curve)):
        tokens, distortion = np.array(result["trade_offs"][name]).T
        expected = [curve(mse.astype(np.float64), trained).at(t) for t in tokens]
        np.testing.assert_allclose(distortion, expected, rtol=1e-12)


def test_one_trained_length_makes_no_trade_off(method_run, context, unfair):
    about = json.loads((unfair / "bank.json").read_text())
    one = {**about, "trained": [False, False, False, True]}
    (unfair / "bank.json").write_text(json.dumps(one))
    result = evaluation.run(context("plain", "", of=method_run, inputs={"bank": unfair}))
    assert result["trade_offs"] == {}
    assert len(result["curve"]) == 4


@pytest.mark.parametrize(("trained", "share"), [([True] * 3, 0.0), ([True, True, False], 1.0)])
def test_images_given_a_length_never_trained_are_counted(context, lean, constant, trained, share):
    about = json.loads((lean / "bank.json").read_text())
    (lean / "bank.json").write_text(json.dumps({**about, "trained": trained}))
    # The bank's last column, the policy's second candidate.
    inputs = {"bank": lean, "policy": constant(1, [1, 4])}
    metrics = evaluation.run(context(CELL, "", inputs=inputs))["metrics"]
    assert metrics["untrained_share"] == share
