import numpy as np
import pytest
import torch

from adatok_core.config import TokenizerConfig, TrainingConfig
from adatok_core.training import TokenizerTrainer
from bench.allocators.base import Allocation
from bench.allocators.learned import LearnedPolicy
from bench.allocators.view import seen_of
from bench.artifacts.bank import Bank
from bench.artifacts.networks import load_tokenizer, read_trained_lengths
from bench.config.settings import parse
from bench.data.image_set import read_image_set
from bench.stages import lengths, tokenizer
from bench.stages.lengths import read_lengths
from bench.store.checkpoints import load_tensors

LAST = "tokenizer"
SECOND = "tokenizer/start"
# Lengths with the tokenizer and the policy that they come from.
ROUNDS = [
    ("chosen", f"{SECOND}/lengths"),
    ("chosen", f"{LAST}/lengths"),
    ("told", "tokenizer/lengths"),
]


@pytest.mark.parametrize(("cell", "path"), ROUNDS)
def test_every_training_image_gets_the_policys_choice(codesign_run, cell, path):
    """A policy's bank has 40 images of the 48; the cell `told` looks at codes, at full length."""
    found = read_lengths(codesign_run.artifact(cell, path))
    bank = Bank.read(codesign_run.artifact(cell, f"{path}/policy/bank"))
    policy = LearnedPolicy.load(
        codesign_run.artifact(cell, f"{path}/policy"),
        tokenizer=codesign_run.artifact(cell, f"{path}/tokenizer"),
        patch_size=8,
    )
    chosen = policy.allocate(seen_of(bank, parts=policy.sees)).chosen
    assert (found.dtype, found.shape) == (np.int64, (48,))
    assert np.array_equal(found[:40], np.array(policy.candidates)[chosen])
    assert set(found) <= set(policy.candidates)
    spec = codesign_run.spec(cell, path)
    result = codesign_run.store.description("lengths", spec.key)["result"]
    values, counts = np.unique(found, return_counts=True)
    assert result == {
        "count": 48,
        "mean_tokens": found.mean(),
        "images_by_tokens": {str(v): n for v, n in zip(values, counts, strict=True)},
    }


def test_a_policy_of_pixels_needs_no_encoder(codesign_run, context, monkeypatch):
    class ByRed:
        candidates, sees = (1, 4), frozenset({"pixels"})

        def allocate(self, seen):
            assert seen.latents is seen.ids is None
            return Allocation((seen.pixels[:, 0, 0, 0] > 99).astype(int))

    monkeypatch.setattr(LearnedPolicy, "load", lambda *paths, **options: ByRed())
    monkeypatch.setattr("adatok_core.tokenizer.ElasticTokenizer.encode", None)
    stage = context("chosen", f"{LAST}/lengths", of=codesign_run)
    lengths.run(stage)
    pixels = read_image_set(stage.inputs["images"]).pixels
    assert np.array_equal(read_lengths(stage.work), np.where(pixels[:, 0, 0, 0] > 99, 4, 1))


def test_an_interrupted_choice_goes_on_to_the_identical_file(codesign_run, context):
    where = ("chosen", f"{LAST}/lengths")
    stopped = context(*where, of=codesign_run, stop_at=32)
    with pytest.raises(KeyboardInterrupt):
        lengths.run(stopped)
    torn = stopped.work / "shard-000000000.safetensors"
    torn.write_bytes(torn.read_bytes()[:-1])
    again = context(*where, of=codesign_run)
    lengths.run(again)
    assert again.told == [16, 48]  # The torn shard and the last one.
    whole = codesign_run.artifact(*where) / "lengths.npy"
    assert (again.work / "lengths.npy").read_bytes() == whole.read_bytes()
    assert [path.name for path in again.work.iterdir()] == ["lengths.npy"]


def trained(run, cell, path, *, chosen):
    """The weights of a round that is trained here, with the lengths `chosen`."""
    spec = run.spec(cell, path)
    pixels = read_image_set(run.artifact(cell, f"{path}/images")).pixels
    start = None
    if "start" in spec.inputs:
        start, _ = load_tensors(run.artifact(cell, f"{path}/start") / "tokenizer.safetensors")
    trainer = TokenizerTrainer(
        parse(TokenizerConfig, spec.config["tokenizer"], where=""),
        parse(TrainingConfig, spec.config["training"], where=""),
        image_size=32,
        count=len(pixels),
        load=lambda indices: torch.from_numpy(pixels[indices.numpy()]),
        start=start,
        chosen=torch.from_numpy(chosen),
    )
    list(trainer.run())
    return trainer.ema.state_dict()


@pytest.mark.parametrize(("cell", "path"), [("chosen", LAST), ("chosen", SECOND), ("told", LAST)])
def test_a_round_trains_all_of_the_tokenizer_at_these_lengths(codesign_run, cell, path):
    tensors, _ = load_tensors(codesign_run.artifact(cell, path) / "tokenizer.safetensors")
    chosen = read_lengths(codesign_run.artifact(cell, f"{path}/lengths"))
    same = trained(codesign_run, cell, path, chosen=chosen)
    assert all(torch.equal(tensors[name], same[name]) for name in same)
    others = trained(codesign_run, cell, path, chosen=5 - chosen)
    assert any(not torch.equal(tensors[name], others[name]) for name in others)
    if cell == "chosen":
        start, _ = load_tensors(
            codesign_run.artifact(cell, f"{path}/start") / "tokenizer.safetensors"
        )
        for part in ("encoder.", "decoder."):
            assert any(
                not torch.equal(tensors[name], start[name])
                for name in tensors
                if name.startswith(part)
            )


def test_an_encoder_is_told_the_chosen_length_of_each_image(codesign_run, monkeypatch):
    given = []
    forward = torch.nn.Module.__call__

    def watched(module, *arguments, **options):
        if type(module).__name__ == "Told" and len(arguments) > 1:
            given.append(arguments[1].tolist())
        return forward(module, *arguments, **options)

    monkeypatch.setattr(torch.nn.Module, "__call__", watched)
    chosen = np.array([1, 4] * 24)
    trained(codesign_run, "told", LAST, chosen=chosen)
    assert len(given) == 20
    assert {tuple(sorted({*kept})) for kept in given} == {(1, 4)}


def test_an_interrupted_round_goes_on_to_the_identical_file(codesign_run, context):
    stopped = context("chosen", LAST, of=codesign_run, stop_at=10)
    with pytest.raises(KeyboardInterrupt):
        tokenizer.run(stopped)
    again = context("chosen", LAST, of=codesign_run)
    tokenizer.run(again)
    assert again.told == [20]
    name = "tokenizer.safetensors"
    whole = codesign_run.artifact("chosen", LAST) / name
    assert (again.work / name).read_bytes() == whole.read_bytes()


def test_lengths_that_nothing_draws_are_flagged(codesign_run):
    """The cell `told` draws nothing but what its policy chose among 1 and 4."""
    artifact = codesign_run.artifact("told", LAST)
    chosen = set(read_lengths(codesign_run.artifact("told", f"{LAST}/lengths")).tolist())
    assert read_trained_lengths(artifact) == chosen
    curve = {row.budget: row.trained for row in codesign_run.record("told").curve}
    assert curve == {budget: budget in chosen for budget in (1, 2, 4)}
    assert not load_tokenizer(artifact).nested
