import pytest
import torch

from adatok_core.config import Sampling
from adatok_core.generator.reference import decode_reference
from adatok_core.generator.sampling import guided

LAYOUTS = ("fixed", "end_token", "length_token")
UNCONDITIONAL = {"class_conditional": False, "class_dropout": 0.0}


def decoded(made, *, label=1, seed=0, length=None, **sampling):
    return decode_reference(
        *made, label=label, seed=seed, length=length, sampling=Sampling(**sampling)
    )


def produced(made, parsed):
    """The tokens from which `parsed` was read."""
    _, vocabulary = made
    if vocabulary.lengths == "length_token":
        first = vocabulary.codes + vocabulary.budgets.index(parsed.length)
        return torch.cat([torch.tensor([first]), parsed.ids])
    if vocabulary.lengths == "end_token" and not parsed.unended:
        return torch.cat([parsed.ids, torch.tensor([vocabulary.codes])])
    return parsed.ids


@pytest.mark.parametrize("lengths", LAYOUTS)
def test_every_token_is_the_most_probable_one_after_those_before(untrained, lengths):
    generator, vocabulary = made = untrained(lengths)
    for label in range(3):
        tokens = produced(made, decoded(made, label=label, temperature=0.0))
        with torch.no_grad():
            logits = generator(torch.tensor([label]), tokens[None, :-1])[0]
        allowed = vocabulary.allowed(torch.arange(len(tokens)))
        assert torch.equal(logits.where(allowed, -torch.inf).argmax(-1), tokens)


@pytest.mark.parametrize("lengths", LAYOUTS)
def test_tokens_are_drawn_in_proportion(untrained, lengths):
    """The first token of 200 seeds, against its chances."""
    generator, vocabulary = made = untrained(lengths, seed=1)
    length = None if lengths == "length_token" else 1
    firsts = [produced(made, decoded(made, seed=seed, length=length))[0] for seed in range(200)]
    shares = torch.bincount(torch.stack(firsts), minlength=vocabulary.size) / 200
    with torch.no_grad():
        logits = generator(torch.tensor([1]), torch.empty(1, 0, dtype=torch.int64))[0, 0]
    chances = logits.where(vocabulary.allowed(torch.tensor([0]))[0], -torch.inf).softmax(0)
    assert (shares - chances).abs().max() < 3.5 * (0.25 / 200) ** 0.5


@pytest.mark.parametrize("lengths", LAYOUTS)
def test_an_image_gets_the_length_that_is_asked_for(untrained, lengths):
    made = untrained(lengths)
    for length in (1, 3, 6):
        parsed = decoded(made, length=length)
        assert (parsed.length, parsed.unended) == (length, False)
        assert parsed.ids.max() < 11


def test_without_a_length_the_model_decides(untrained):
    assert {decoded(untrained("fixed"), seed=seed).length for seed in range(5)} == {6}
    told = untrained("length_token", seed=1)
    assert {decoded(told, seed=seed).length for seed in range(40)} == {1, 3, 6}
    ended = [decoded(untrained("end_token", seed=3), seed=seed) for seed in range(60)]
    assert {parsed.length for parsed in ended} == {1, 2, 3, 4, 5, 6}
    assert {parsed.unended for parsed in ended if parsed.length == 6} == {True, False}
    assert not any(parsed.unended for parsed in ended if parsed.length < 6)


def test_guidance_moves_away_from_the_null_class(untrained):
    generator, vocabulary = made = untrained()
    parsed = decoded(made, label=2, temperature=0.0, guidance=2.5)
    with torch.no_grad():
        both = generator(torch.tensor([2, vocabulary.classes]), parsed.ids[:-1].repeat(2, 1))
    assert torch.equal(guided(*both, 2.5).argmax(-1), parsed.ids)
    assert not torch.equal(parsed.ids, decoded(made, label=2, temperature=0.0).ids)


@pytest.mark.parametrize(
    "sampling", [{"temperature": 3.0}, {"top_k": 1}, {"top_p": 0.2}, {"guidance": 5.0}]
)
def test_every_option_of_sampling_counts(untrained, sampling):
    made = untrained()
    pairs = [(decoded(made, seed=s).ids, decoded(made, seed=s, **sampling).ids) for s in range(4)]
    assert any(not torch.equal(plain, other) for plain, other in pairs)


def test_seeds_and_classes_make_the_difference(untrained):
    made = untrained()
    assert torch.equal(decoded(made).ids, decoded(made).ids)
    assert not torch.equal(decoded(made).ids, decoded(made, seed=1).ids)
    greedy = [decoded(made, label=label, temperature=0.0).ids.tolist() for label in range(3)]
    assert greedy[0] != greedy[1] != greedy[2] != greedy[0]


def test_a_generator_without_classes_needs_no_label(untrained):
    made = untrained(**UNCONDITIONAL)
    assert decoded(made, label=None).length == 6
    with pytest.raises(ValueError, match=r"^label: 1, but"):
        decoded(made)


@pytest.mark.parametrize(
    ("options", "request_of", "complaint"),
    [
        ({}, {"label": 3}, "label: 3 is no class"),
        ({}, {"label": None}, "label: None is no class"),
        ({}, {"length": 0}, "length: 0 does not lie"),
        ({}, {"length": 7}, "length: 7 does not lie"),
        ({"lengths": "length_token"}, {"length": 2}, "length: 2 is none of"),
        ({"class_dropout": 0.0}, {"guidance": 2.0}, "guidance: the generator never sees"),
        (UNCONDITIONAL, {"label": None, "guidance": 2.0}, "guidance: the generator knows no"),
    ],
)
def test_what_cannot_be_decoded_is_refused(untrained, options, request_of, complaint):
    with pytest.raises(ValueError, match=f"^{complaint}"):
        decoded(untrained(**options), **request_of)
