"""What any tokenizer must do, whatever its encoding and recipe."""

import functools

import pytest
import torch

from adatok_core.config import FSQ, VQ, LengthSampling, LoRA, TokenizerConfig, TrainingConfig
from adatok_core.halting import HaltingTokenizer
from adatok_core.protocols import SelfHalting, Tokenizer
from adatok_core.tokenizer import to_float
from adatok_core.training import TokenizerTrainer

# 16 px, in quarters of one colour each.
COLOURS = torch.randint(
    256, (12, 3, 2, 2), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
)
IMAGES = COLOURS.repeat_interleave(8, 2).repeat_interleave(8, 3)
PLAIN = {"lora": LoRA(rank=0)}
# Options of the tokenizer, and the lengths of its training: the encodings and two recipes.
SYSTEMS = {
    "one_pass": ({}, {}),
    "grid": ({"encoding": "grid", "budgets": (16,)}, {}),
    "told": ({"encoding": "told", "tail": "zeros"}, {}),
    "recurrent": ({"encoding": "recurrent", "rollouts": 4}, {}),
    "halting": ({"encoding": "halting"}, {}),
    "one_d_piece": ({"tail": "dropped", **PLAIN}, {"distribution": "all", "per": "batch"}),
    "flextok": ({"tail": "mask_vector", **PLAIN}, {"distribution": "powers_of_two"}),
}
NESTED = {"one_pass", "grid", "halting", "one_d_piece", "flextok"}
ROOMY = {"atol": 1e-5, "rtol": 0}


def trainer_of(name, *, steps, quantizer=None, **options):
    tokenizer, lengths = SYSTEMS[name]
    settings = {
        "budgets": (2, 4, 8),
        "patch_size": 4,
        "width": 16,
        "encoder_depth": 1,
        "decoder_depth": 1,
        "attention_heads": 2,
        "quantizer": quantizer or FSQ(levels=(5, 5, 5)),
        "lora": LoRA(rank=2),
    }
    return TokenizerTrainer(
        TokenizerConfig(**{**settings, **tokenizer}),
        TrainingConfig(
            steps=steps,
            batch=8,
            learning_rate=5e-3,
            warmup_steps=1,
            log_every=1,
            lengths=LengthSampling(**lengths),
            **options,
        ),
        image_size=16,
        count=len(IMAGES),
        load=IMAGES.__getitem__,
    )


@torch.enable_grad()
def ended(trainer, *, at=None):
    for step in trainer.run():
        if step == at:
            break
    return trainer


@functools.cache
def trained(name):
    return ended(trainer_of(name, steps=60))


@pytest.fixture(params=SYSTEMS)
def name(request):
    return request.param


@pytest.fixture
def model(name):
    return trained(name).model.eval()


@pytest.fixture
def images():
    return to_float(IMAGES)


@pytest.fixture(autouse=True)
def no_gradients():
    with torch.no_grad():
        yield


def everything(model, images, budget):
    """`encode` and `decode` at one budget: ids, latents, images."""
    ids, latents = model.encode(images, budget)
    return ids, latents, model.decode(ids, torch.full((len(images),), budget))


def test_it_is_a_tokenizer(name, model):
    assert isinstance(model, Tokenizer)
    assert isinstance(model, SelfHalting) == isinstance(model, HaltingTokenizer)
    assert isinstance(model, SelfHalting) == (name == "halting")
    assert model.max_tokens == model.budgets[-1]
    assert model.bits_per_token == pytest.approx(3 * 2.321928)


def test_every_budget_gives_as_many_ids_in_range_and_images(model, images):
    for budget in range(1, model.max_tokens + 1):
        ids, latents, decoded = everything(model, images, budget)
        assert ids.shape == (12, budget)
        assert ids.dtype == torch.int64
        assert 0 <= ids.min() <= ids.max() < 125
        assert latents.shape == (12, budget, 16)
        assert decoded.shape == images.shape
    full = model.encode(images)
    assert torch.equal(full[0], ids)
    assert torch.equal(full[1], latents)


def test_ids_tell_images_apart(model, images):
    assert len(model.encode(images)[0].unique(dim=0)) > 3


def test_a_budget_outside_the_tokenizer_is_refused(model, images):
    for budget in (0, model.max_tokens + 1):
        with pytest.raises(ValueError, match=rf"1\.\.{model.max_tokens}"):
            model.encode(images, budget)


def test_prefixes_are_nested_if_and_only_if_they_are_said_to_be(name, model, images):
    assert model.nested == (name in NESTED)
    full = model.encode(images)[0]
    prefixes = [model.encode(images, k)[0] for k in range(1, model.max_tokens)]
    same = [torch.equal(ids, full[:, : ids.shape[1]]) for ids in prefixes]
    assert all(same) == model.nested


def test_no_token_behind_the_budget_reaches_the_image(model, images):
    for budget in (1, 2, 3, 7):
        ids, _, expected = everything(model, images, budget)
        kept = torch.full((12,), budget)
        behind = torch.randint(125, (12, model.max_tokens - budget))
        torch.testing.assert_close(
            model.decode(torch.cat([ids, behind], 1), kept), expected, **ROOMY
        )
        other = ids.clone()
        other[:, -1] = (ids[:, -1] + 62) % 125
        assert (model.decode(other, kept) - expected).abs().max() > 1e-4


@pytest.mark.parametrize("i", [0, 3, 7])
def test_a_row_of_the_encoder_is_a_token(model, images, i):
    before = model.encode(images)[0]

    def bump(_, __, latents):
        rows = (torch.arange(latents.shape[1]) == i)[:, None]
        return latents + 9 * torch.linspace(-1, 1, 16) * rows

    handle = model.encoder.register_forward_hook(bump)
    after = model.encode(images)[0]
    handle.remove()
    assert (after != before).any(0).nonzero().flatten().tolist() == [i]


def test_training_reconstructs_what_encoding_and_decoding_give(model, images):
    kept = torch.tensor(model.budgets).repeat(12)[:12]
    result = model(images, kept)
    for i, budget in enumerate(kept.tolist()):
        _, _, decoded = everything(model, images[i : i + 1], budget)
        torch.testing.assert_close(result.images[i : i + 1], decoded, **ROOMY)


def test_the_full_budget_is_plain_decoding(model, images):
    ids, _, decoded = everything(model, images, model.max_tokens)
    plain = model.decoder.of_head(len(model.budgets) - 1)
    torch.testing.assert_close(plain(model.quantizer.decode(ids)), decoded, **ROOMY)


def test_a_merged_decoder_is_the_decoder_at_its_budget(model, images):
    for budget in {1, 3, *model.budgets}:
        ids, _, decoded = everything(model, images, budget)
        merged = model.merged_decoder(budget)(model.quantizer.decode(ids))
        torch.testing.assert_close(merged, decoded, **ROOMY)


def test_an_image_does_not_depend_on_its_batch(model, images):
    for budget in (2, 3, model.max_tokens):
        ids, latents, decoded = everything(model, images, budget)
        for i in (0, 5):
            alone = everything(model, images[i : i + 1], budget)
            assert torch.equal(alone[0][0], ids[i])
            torch.testing.assert_close(alone[1][0], latents[i], **ROOMY)
            torch.testing.assert_close(alone[2][0], decoded[i], **ROOMY)


def test_encoding_and_decoding_draw_and_change_nothing(model, images):
    model.train()
    state = torch.get_rng_state()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    first, second = (everything(model, images, 2) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())


def test_it_learns(name):
    losses = [row["pixel_loss"] for row in trained(name).history]
    assert sum(losses[-10:]) < 0.8 * sum(losses[:10])


def test_every_parameter_learns(name, images):
    model = trainer_of(name, steps=2).model
    with torch.enable_grad():
        result = model(images, torch.tensor(model.budgets).repeat(12)[:12])
        loss = sum((image - images).square().mean() for image in result.images.split(12))
        (loss + sum(result.losses.values())).backward()
    for key, parameter in model.named_parameters():
        # Adapters start with a factor of zero.
        assert key.endswith(".down") or parameter.grad.abs().sum() > 0, key


@pytest.mark.parametrize("kind", ["fsq", "vq"])
def test_the_seed_decides_all_and_a_resumed_run_is_the_same(name, kind):
    # A code is dead after one step without a draw: every step revives some.
    vq = VQ(codebook_size=32, dimension=4, usage_decay=0.5, revive_below=0.6)
    settings = {"steps": 4, "accumulate": 2, "quantizer": vq if kind == "vq" else None}

    torch.manual_seed(1)
    whole = ended(trainer_of(name, **settings)).state()
    stopped = ended(trainer_of(name, **settings), at=2)
    torch.manual_seed(2)
    resumed = trainer_of(name, **settings)
    resumed.load_state(stopped.state())
    again = ended(resumed).state()
    assert again.history == whole.history
    assert all(torch.equal(whole.tensors[key], value) for key, value in again.tensors.items())
