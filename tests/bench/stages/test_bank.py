import json
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from adatok_core.config import FSQ
from adatok_core.losses import perceptual_distance
from adatok_core.quantizers import build_quantizer
from adatok_core.tokenizer import to_float, to_uint8
from bench.allocators.view import seen_of
from bench.artifacts.bank import Bank
from bench.artifacts.networks import load_tokenizer
from bench.data.image_set import read_image_set
from bench.errors import UserError
from bench.metrics.networks.lite import Lite0
from bench.metrics.ssim import ssim
from bench.stages import bank
from bench.stages.banks.codebook import CodeCounts
from bench.stages.banks.content import Content, id_type
from bench.store.checkpoints import load_tensors, save_tensors
from bench.store.row_arrays import RowArrays
from bench.store.stage import Resources
from bench.store.stopping import StageStopped

EVALUATION, POLICY = ("elastic", "bank"), ("policy: seed 0", "policy/bank")
BUDGETS = [1, 2, 4]


@pytest.fixture(scope="module")
def evaluation(small_run):
    return Bank.read(small_run.artifact(*EVALUATION))


@pytest.fixture(scope="module")
def direct(small_run):
    """Everything of the evaluation bank, computed in one batch with the unmerged decoder."""
    tokenizer = load_tokenizer(small_run.artifact("elastic", "bank/tokenizer"))
    pixels = read_image_set(small_run.artifact("elastic", "bank/images")).pixels
    original = torch.from_numpy(np.array(pixels))
    network = Lite0(32)
    with torch.inference_mode():
        ids, latents = tokenizer.encode(to_float(original))
        decoded = [
            to_uint8(tokenizer.decode(ids, torch.full((len(ids),), budget))) for budget in BUDGETS
        ]
        reference, reference_maps = network.forward_features(original)
        features, maps = zip(*(network.forward_features(image) for image in decoded), strict=True)
    errors = [(image.double() - original).square().mean((1, 2, 3)) / 255**2 for image in decoded]
    mse = torch.stack(errors, 1)
    return {
        "ids": ids,
        "latents": latents,
        "mse": mse,
        "psnr": -10 * mse.log10(),
        "ssim": torch.stack([ssim(image, original) for image in decoded], 1),
        "lite0_originals": reference,
        "lite0": torch.stack(features, 1),
        "perceptual": torch.stack([perceptual_distance(reference_maps, m) for m in maps], 1),
    }


@pytest.mark.parametrize(
    ("name", "dtype", "relative", "absolute"),
    [
        ("ids", np.int16, 0, 0),
        ("latents", np.float16, 2e-3, 2e-3),
        ("mse", np.float32, 1e-3, 1e-6),
        ("psnr", np.float32, 1e-3, 0),
        ("ssim", np.float32, 1e-3, 1e-3),
        ("lite0_originals", np.float32, 1e-4, 1e-4),
        ("lite0", np.float32, 1e-2, 1e-2),
        ("perceptual", np.float32, 1e-2, 1e-3),
    ],
)
def test_arrays_agree_with_direct_computation(evaluation, direct, name, dtype, relative, absolute):
    stored = evaluation.array(name)
    assert stored.dtype == dtype
    np.testing.assert_allclose(stored, direct[name].numpy(), rtol=relative, atol=absolute)


def test_the_bank_says_what_it_holds(small_run, evaluation):
    about = evaluation.about
    images = read_image_set(small_run.artifact("elastic", "bank/images"))
    assert about["budgets"] == BUDGETS
    assert about["bits_per_token"] == pytest.approx(math.log2(25))
    assert (about["max_tokens"], about["patch_size"]) == (4, 8)
    assert about["trained"] == [True, True, True]
    assert about["purpose"] == "evaluation"
    assert about["images"] == {"digest": images.digest, "count": 24}
    assert about["resolution"] == 32
    assert about["extractors"]["lite0"]["input_px"] == 32
    assert about["arrays"] == sorted(
        ["ids", "latents", "lite0", "lite0_originals", "mse", "perceptual", "psnr", "ssim"]
    )
    tokenizer = load_tokenizer(small_run.artifact("elastic", "bank/tokenizer"))
    assert about["parameters"] == sum(p.numel() for p in tokenizer.parameters())
    files = {p.name for p in evaluation.path.iterdir()}
    assert files == {f"{name}.npy" for name in about["arrays"]} | {
        "bank.json",
        "images.parquet",
        "stage.json",
    }


def test_speed_is_measured_at_every_budget(evaluation):
    speed = evaluation.about["throughput"]
    assert list(speed["decode_images_per_second"]) == ["1", "2", "4"]
    assert (speed["batch"], speed["threads"], speed["device"]) == (8, 1, "cpu")


def test_a_row_per_image_and_budget(small_run, evaluation):
    table = pd.read_parquet(evaluation.path / "images.parquet")
    images = read_image_set(small_run.artifact("elastic", "bank/images")).table
    assert len(table) == 24 * 3
    assert table["budget"].tolist() == BUDGETS * 24
    for name in ("id", "sha256", "label", "label_name", "complexity"):
        assert table[name].tolist() == images[name].repeat(3).tolist()
    for name in ("mse", "psnr", "ssim", "perceptual"):
        np.testing.assert_array_equal(table[name], evaluation.array(name).ravel())


def test_codebook_use_is_counted_over_all_images(evaluation):
    ids, use = evaluation.array("ids"), evaluation.about["codebook"]
    assert use["usage"] == len(np.unique(ids)) / 25
    assert len(use["usage_by_position"]) == len(use["entropy_bits_by_position"]) == 4
    assert max(use["usage_by_position"]) <= use["usage"]


def test_codebook_use_known_answer():
    quantizer = build_quantizer(4, FSQ(levels=(4, 2)), tokens=2)
    ids = torch.tensor([[0, 1], [0, 2], [0, 1], [0, 2]])
    counts = CodeCounts(quantizer.code_sizes, 2)
    for block in quantizer.parts(ids).numpy().reshape(2, 2, 2, -1):
        counts.add(block)
    assert counts.use() == {
        "usage": 3 / 8,
        "entropy_bits": pytest.approx(1.5),
        "usage_by_position": [1 / 8, 2 / 8],
        "entropy_bits_by_position": [pytest.approx(0), pytest.approx(1)],
    }


def test_a_policys_bank_holds_no_features(small_run):
    about = Bank.read(small_run.artifact(*POLICY)).about
    digest = read_image_set(small_run.artifact("policy: seed 0", "policy/bank/images")).digest
    assert about["extractors"] == {}
    assert about["arrays"] == ["ids", "latents", "mse", "psnr", "ssim"]
    assert about["images"] == {"digest": f"{digest}[:40]", "count": 40}
    assert "throughput" not in about
    table = pd.read_parquet(small_run.artifact(*POLICY) / "images.parquet")
    assert len(table) == 40 * 3
    assert "perceptual" not in table


def test_all_images_unless_fewer_are_asked_for_and_never_fewer_in_silence(context):
    every = context(*POLICY, config={"images": None}, work="all")
    assert bank.run(every) == {"budgets": BUDGETS, "count": 48}
    assert not json.loads((every.work / "bank.json").read_text())["images"]["digest"].endswith("]")
    with pytest.raises(UserError, match=r"policy_images: 49 exceeds the 48 training images"):
        bank.run(context(*POLICY, config={"images": 49}))


def test_batches_and_shards_do_not_change_the_values(small_run, context):
    stage = context(*POLICY, config={"batch": 7, "shard": 10})
    bank.run(stage)
    assert stage.told == [10, 20, 30, 40]
    usual = Bank.read(small_run.artifact(*POLICY))
    for name in usual.about["arrays"]:
        np.testing.assert_allclose(
            Bank.read(stage.work).array(name), usual.array(name), rtol=1e-3, atol=2e-3
        )


@pytest.fixture
def interrupted(context):
    """`interrupted(*stage)`: its work folder holds the first of its shards."""

    def interrupted(*stage, **changes):
        first = context(*stage, stop_at=16, **changes)
        with pytest.raises(KeyboardInterrupt):
            bank.run(first)
        assert [p.name for p in first.work.glob("*.json")] == ["part-000000000.json"]
        return first.work

    return interrupted


@pytest.mark.parametrize("stage", [EVALUATION, POLICY], ids=["evaluation", "policy"])
def test_an_interrupted_build_goes_on_with_the_next_shard(
    small_run, context, interrupted, monkeypatch, stage
):
    work = interrupted(*stage)
    made = []
    build = Content.arrays

    def counted(self, images, first, last):
        made.append((first, last))
        return build(self, images, first, last)

    monkeypatch.setattr(Content, "arrays", counted)
    # Of an attempt before shards were rows of the arrays.
    (work / "shard-000000000.safetensors").touch()
    bank.run(context(*stage))
    assert made == ([(16, 24)] if stage == EVALUATION else [(16, 32), (32, 40)])
    assert {path.suffix for path in work.iterdir()} == {".npy", ".json", ".parquet"}
    assert [path.name for path in work.glob("*.json")] == ["bank.json"]
    usual = Bank.read(small_run.artifact(*stage))
    for name in usual.about["arrays"]:
        np.testing.assert_array_equal(Bank.read(work).array(name), usual.array(name))


def corrupt(work, name, change):
    """Change the first shard of 40 images, whose mark says that it is as it was written."""
    there = RowArrays(work, 40)
    arrays = {one: np.array(there.array(one)[:16]) for one in there.names()}
    there.write(0, arrays | {name: change(arrays[name])})
    assert there.has(0, 16)


@pytest.mark.parametrize(
    ("name", "change", "expected"),
    [
        ("mse", lambda mse: mse * np.float32(1.01), "decodes to an MSE of"),
        ("ids", lambda ids: (ids + 1) % 25, "decodes to an MSE of|tokens differ"),
    ],
)
def test_the_spot_check_finds_wrong_values(context, interrupted, name, change, expected):
    corrupt(interrupted(*POLICY), name, change)
    with pytest.raises(RuntimeError, match=expected):
        bank.run(context(*POLICY))


@pytest.mark.parametrize("part", ["encoder", "decoder"])
def test_the_spot_check_finds_another_tokenizer(small_run, context, interrupted, tmp_path, part):
    """Half of the bank is made with weights that have changed since."""
    tensors, about = load_tensors(
        small_run.artifact("elastic", "bank/tokenizer") / "tokenizer.safetensors"
    )
    torch.manual_seed(0)
    for name, tensor in tensors.items():
        if name.startswith(part):
            tensors[name] = tensor + 0.3 * torch.randn_like(tensor)
    other = tmp_path / "other"
    other.mkdir()
    save_tensors(other / "tokenizer.safetensors", tensors, about=about)
    interrupted(*POLICY, inputs={"tokenizer": other})
    with pytest.raises(RuntimeError, match="not deterministic here"):
        bank.run(context(*POLICY))


def test_psnr_is_of_each_image_not_of_the_mean(evaluation):
    mse = evaluation.per_budget("mse")
    np.testing.assert_allclose(evaluation.per_budget("psnr"), -10 * np.log10(mse), rtol=1e-5)
    assert evaluation.per_budget("psnr").mean() != pytest.approx(-10 * math.log10(mse.mean()))


def test_a_reconstruction_is_the_one_the_bank_measured(small_run, evaluation):
    tokenizer = load_tokenizer(small_run.artifact("elastic", "bank/tokenizer"))
    pixels = read_image_set(small_run.artifact("elastic", "bank/images")).pixels
    ids = torch.from_numpy(np.array(evaluation.array("ids"))).long()
    for column, budget in enumerate(BUDGETS):
        decoder = tokenizer.merged_decoder(budget)
        with torch.inference_mode():
            images = to_uint8(decoder(tokenizer.quantizer.decode(ids[:, :budget])))
        decoded = images.numpy().astype(float)
        assert decoded.shape == pixels.shape
        error = ((decoded - pixels) ** 2).mean((1, 2, 3)) / 255**2
        np.testing.assert_allclose(error, evaluation.array("mse")[:, column], rtol=1e-4)


def test_ranks_give_the_same_bytes_and_begin_where_an_interrupted_one_ended(
    small_run, context, interrupted
):
    interrupted(*POLICY)
    stage = context(*POLICY)
    two = Resources(cpus=2, ranks=2)
    result = bank.run(replace(stage, spec=replace(stage.spec, resources=two)))
    assert len(result["rank_peak_memory_bytes"]) == 2
    usual = small_run.artifact(*POLICY)
    for name in Bank.read(usual).about["arrays"]:
        path = f"{name}.npy"
        assert (stage.work / path).read_bytes() == (usual / path).read_bytes()
    assert Bank.read(stage.work).table().equals(Bank.read(usual).table())


def test_a_sample_is_drawn_by_class_and_says_which_images_it_has(small_run, context):
    """Whatever looks at the bank's images finds them in its order."""
    stage = context(*POLICY, config={"images": 20, "sample": {"seed": 3}})
    bank.run(stage)
    made = Bank.read(stage.work)
    images = read_image_set(small_run.artifact("policy: seed 0", "policy/bank/images"))
    rows = np.array(made.image_rows)
    assert len({*rows}) == 20
    assert made.about["images"]["digest"] == f"{images.digest}[20 by class, seed 3]"
    table = made.table()
    assert table["id"].tolist() == images.table["id"].iloc[rows].repeat(3).tolist()
    assert made.image_table("id")["id"].tolist() == images.table["id"].iloc[rows].tolist()
    shares = images.table["label"].value_counts() * 20 / 48
    found = images.table["label"].iloc[rows].value_counts().reindex(shares.index, fill_value=0)
    assert (found - shares).abs().max() < 1
    usual = context(*POLICY, config={"images": None}, work="all")
    bank.run(usual)
    every = Bank.read(usual.work)
    assert every.image_rows is None
    np.testing.assert_allclose(made.array("mse"), every.array("mse")[rows], rtol=1e-3)
    pixels = seen_of(made, images=stage.inputs["images"], parts=frozenset({"pixels"})).pixels
    np.testing.assert_array_equal(pixels, images.pixels[rows])
    np.testing.assert_array_equal(pixels[np.array([4, 1])], images.pixels[rows[[4, 1]]])
    np.testing.assert_array_equal(pixels[3:5], images.pixels[rows[3:5]])
    assert [one.sum() for one in pixels] == [images.pixels[row].sum() for row in rows]


@pytest.mark.parametrize(("latents", "length"), [(2, 2), (0, None), (99, 4)])
def test_latents_are_pooled_or_left_out(small_run, context, latents, length):
    stage = context(*POLICY, config={"latents": latents, "images": 16})
    bank.run(stage)
    made, full = Bank.read(stage.work), Bank.read(small_run.artifact(*POLICY)).array("latents")
    assert ("latents" in made.about["arrays"]) == (length is not None)
    if length is not None:
        expected = full[:16].astype(np.float32).reshape(16, length, 4 // length, -1).mean(2)
        np.testing.assert_allclose(made.array("latents"), expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ((2**15,), np.int16),
        ((8, 2**13), np.uint16),
        ((2**16 + 1,), np.int32),
        ((2**40,), np.int64),
        (None, np.int32),
    ],
)
def test_ids_take_as_few_bits_as_the_codes_allow(sizes, expected):
    assert id_type(sizes) is expected


def test_a_build_that_is_asked_to_stop_leaves_its_shard(context):
    stage = context(*POLICY)
    stage.stopping.ask()
    with pytest.raises(StageStopped):
        bank.run(stage)
    arrays = RowArrays(stage.work, 40)
    assert (arrays.marked, arrays.has(0, 16)) == (1, True)
