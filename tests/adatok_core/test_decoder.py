import pytest
import torch

from adatok_core.config import LoRA
from adatok_core.decoder import SeparateDecoders
from adatok_core.tokenizer import parameter_count

TAILS = ("dropped", "hidden", "zeros", "mask_vector", "null_vectors")
REPLACED = TAILS[3:]
PATCHES, TOKENS = 16, 7
ROOMY = {"atol": 1e-5, "rtol": 0}


def codes_of(*, batch=6, tokens=TOKENS, seed=0):
    return torch.rand(batch, tokens, 4, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def sequences(decoder):
    """What enters the decoder's transformer, call by call."""
    seen = []
    decoder.transformer.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0]))
    return seen


def test_a_position_of_the_decoder_is_a_patch_of_the_image(tokenizer_of):
    model = tokenizer_of(lora=LoRA(rank=0))
    with torch.no_grad():
        for block in model.decoder.transformer.blocks:
            block.attention.out.weight.zero_()
        before = model.decoder(codes_of())
        model.decoder.queries[6] += 3 * torch.linspace(-1, 1, 16)
        moved = (model.decoder(codes_of()) != before).any(1)
    assert moved[:, 4:8, 8:12].all()
    moved[:, 4:8, 8:12] = False
    assert not moved.any()


@pytest.mark.parametrize("kept", [[2, 2, 1, 2, 2, 1], [3, 1, 2, 1, 1, 1], [7, 1, 2, 3, 4, 5]])
def test_a_dropped_tail_shortens_the_sequence_and_equals_a_hidden_one(tokenizer_of, kept):
    dropped, hidden = (tokenizer_of(tail=tail) for tail in ("dropped", "hidden"))
    short, full = sequences(dropped.decoder), sequences(hidden.decoder)
    outputs = [model.decode_codes(codes_of(), torch.tensor(kept)) for model in (dropped, hidden)]
    torch.testing.assert_close(*outputs, **ROOMY)
    assert short[0].shape == (6, PATCHES + max(kept), 16)
    assert full[0].shape == (6, PATCHES + TOKENS, 16)


@pytest.mark.parametrize("tail", REPLACED)
def test_learned_vectors_take_the_place_of_the_tail(tokenizer_of, tail):
    model = tokenizer_of(tail=tail, budgets=(TOKENS,))
    decoder, codes = model.decoder, codes_of(batch=2)
    assert decoder.absent.shape == ((16,) if tail == "mask_vector" else (TOKENS, 16))
    seen = sequences(decoder)
    model.decode_codes(codes, torch.tensor([3, 6]))
    tokens = seen[0][:, PATCHES:] - decoder.token_positions
    for image, kept in ((0, 3), (1, 6)):
        torch.testing.assert_close(tokens[image, :kept], decoder.embed(codes)[image, :kept])
        vectors = decoder.absent.expand(TOKENS, 16)[kept:]
        torch.testing.assert_close(tokens[image, kept:], vectors)
    model.decode_codes(codes[:, :4], torch.tensor([3, 4]))
    assert seen[1].shape == seen[0].shape
    assert (tokens[0, 3:].std(0) > 1e-3).any() == (tail == "null_vectors")


@pytest.mark.parametrize("tail", REPLACED)
def test_the_learned_vectors_reach_the_image_and_learn(tokenizer_of, tail):
    model = tokenizer_of(tail=tail)
    kept = torch.tensor([2, 4, 7, 2, 4, 4])
    before = model.decode_codes(codes_of(), kept)
    before.square().mean().backward()
    reached = model.decoder.absent.grad.abs().view(-1, 16).sum(-1) > 0
    assert reached.tolist() == ([True] if tail == "mask_vector" else [False] * 2 + [True] * 5)
    with torch.no_grad():
        model.decoder.absent += 1 + torch.linspace(-1, 1, 16)
        moved = (model.decode_codes(codes_of(), kept) - before).abs().amax((1, 2, 3)) > 1e-4
    assert moved.tolist() == [True, True, False, True, True, True]


def test_codes_of_zero_take_the_place_of_the_tail(tokenizer_of):
    model = tokenizer_of(tail="zeros", lora=LoRA(rank=0))
    decoder, codes = model.decoder, codes_of(batch=2)
    seen = sequences(decoder)
    model.decode_codes(codes, torch.tensor([3, 6]))
    cut = codes.clone()
    cut[0, 3:], cut[1, 6:] = 0, 0
    torch.testing.assert_close(seen[0][:, PATCHES:], decoder.embed(cut) + decoder.token_positions)
    model.decode_codes(codes[:, :6], torch.tensor([3, 6]))
    torch.testing.assert_close(seen[1], seen[0])


@pytest.mark.parametrize("tail", ["dropped", "hidden", "zeros"])
def test_an_absent_tail_has_no_vectors(tokenizer_of, tail):
    model = tokenizer_of(tail=tail)
    assert not any("absent" in name for name in model.state_dict())


@pytest.mark.parametrize("tail", TAILS)
@pytest.mark.parametrize("decoders", ["shared", "per_budget"])
def test_the_tail_never_reaches_the_image(tokenizer_of, tail, decoders):
    model = tokenizer_of(tail=tail, decoders=decoders)
    kept = torch.tensor([1, 2, 3, 4, 5, 7])
    codes = codes_of()
    expected = model.decode_codes(codes, kept)
    other = torch.where(torch.arange(TOKENS)[:, None] < kept[:, None, None], codes, 100 - codes)
    assert torch.equal(model.decode_codes(other, kept), expected)
    # The last token that is kept does reach it.
    last = codes.clone()
    last[torch.arange(6), kept - 1] *= -1
    assert ((model.decode_codes(last, kept) - expected).abs().amax((1, 2, 3)) > 1e-3).all()


@pytest.mark.parametrize("tail", TAILS)
def test_the_tail_gets_no_gradient(tokenizer_of, tail):
    codes = codes_of().requires_grad_()
    kept = torch.tensor([1, 2, 3, 4, 5, 7])
    tokenizer_of(tail=tail).decode_codes(codes, kept).square().sum().backward()
    reached = codes.grad.abs().sum(-1) > 0
    assert torch.equal(reached, torch.arange(TOKENS) < kept[:, None])


@pytest.mark.parametrize("i", [0, 3, 6])
def test_a_token_enters_its_own_slot_only(tokenizer_of, i):
    model = tokenizer_of()
    seen = sequences(model.decoder)
    codes = codes_of()
    for bump in (0.0, 1.0):
        codes[:, i] += bump
        model.decode_codes(codes, torch.full((6,), TOKENS))
    moved = (seen[1] != seen[0]).any(-1).any(0)
    assert moved.nonzero().flatten().tolist() == [PATCHES + i]


def test_separate_decoders_share_nothing_and_serve_their_own_budgets(tokenizer_of):
    model = tokenizer_of(decoders="per_budget")
    assert isinstance(model.decoder, SeparateDecoders)
    assert len(model.decoder) == 3
    plain = tokenizer_of(lora=LoRA(rank=0)).decoder
    assert parameter_count(model.decoder) == 3 * parameter_count(plain)
    kept = torch.tensor([7, 2, 4, 1, 3, 5])
    before = model.decode_codes(codes_of(), kept)
    with torch.no_grad():
        for parameter in model.decoder[1].parameters():
            parameter.zero_()
    moved = (model.decode_codes(codes_of(), kept) != before).flatten(1).any(1)
    assert moved.tolist() == [False, False, True, False, True, False]


def test_separate_decoders_differ_from_the_start(tokenizer_of):
    first, second, _ = tokenizer_of(decoders="per_budget").decoder
    assert not torch.equal(first.pixels.weight, second.pixels.weight)


@pytest.mark.parametrize("tail", TAILS)
@pytest.mark.parametrize("decoders", ["shared", "per_budget"])
@pytest.mark.parametrize("given", [3, 5, TOKENS])
def test_a_merged_decoder_takes_its_own_length_only(tokenizer_of, tail, decoders, given):
    merged = tokenizer_of(tail=tail, decoders=decoders).merged_decoder(4)
    assert merged(codes_of(tokens=4)).shape == (6, 3, 16, 16)
    with pytest.raises(ValueError, match=rf"{given} tokens given .* merged for 4"):
        merged(codes_of(tokens=given))


@pytest.mark.parametrize("decoders", ["shared", "per_budget"])
def test_a_merged_decoder_is_a_copy_and_draws_nothing(tokenizer_of, decoders):
    model = tokenizer_of(decoders=decoders)
    kept = torch.full((6,), 4)
    before = model.decode_codes(codes_of(), kept)
    state = torch.get_rng_state()
    merged = model.merged_decoder(4)
    assert torch.equal(torch.get_rng_state(), state)
    assert not merged.training
    with torch.no_grad():
        for parameter in merged.parameters():
            parameter.zero_()
    assert torch.equal(model.decode_codes(codes_of(), kept), before)


@pytest.mark.parametrize("adapters", ["per_budget", "shared", "shared_same_parameters"])
def test_a_merged_decoder_is_no_larger_than_one_without_adapters(tokenizer_of, adapters):
    merged = tokenizer_of(lora=LoRA(rank=2, adapters=adapters)).merged_decoder(4)
    assert parameter_count(merged) == parameter_count(tokenizer_of(lora=LoRA(rank=0)).decoder)
