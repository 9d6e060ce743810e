import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from adatok_core.config import GeneratorConfig, Sampling
from adatok_core.config.generator import require_guidance
from adatok_core.generator.sampling import choose, guided, uniforms

ANY = torch.tensor(True)
GRID = (torch.arange(10_000, dtype=torch.float64) + 0.5) / 10_000


def logits_of(*chances):
    return torch.tensor(chances).log()


def frequencies(logits, allowed=ANY, **sampling):
    """Shares `[V]` of the tokens that are chosen at evenly spaced numbers."""
    rows = logits.expand(len(GRID), -1)
    tokens = choose(rows, GRID, sampling=Sampling(**sampling), allowed=allowed)
    return torch.bincount(tokens, minlength=logits.shape[-1]) / len(GRID)


def assert_shares(shares, *expected):
    torch.testing.assert_close(
        shares, torch.tensor(expected, dtype=torch.float32), atol=2e-4, rtol=0
    )


def test_tokens_are_as_frequent_as_they_are_probable():
    assert_shares(frequencies(logits_of(0.4, 0.1, 0.3, 0.2)), 0.4, 0.1, 0.3, 0.2)


@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_temperature_is_a_power_of_the_chances(temperature):
    chances = torch.tensor([0.4, 0.1, 0.3, 0.2])
    powers = chances ** (1 / temperature)
    shares = frequencies(chances.log(), temperature=temperature)
    assert_shares(shares, *(powers / powers.sum()).tolist())


def test_the_smallest_temperature_is_no_overflow():
    assert_shares(frequencies(logits_of(0.1, 0.4, 0.4, 0.1), temperature=1e-45), 0, 0.5, 0.5, 0)


@pytest.mark.parametrize(
    ("top_k", "expected"),
    [
        (0, (0.1, 0.4, 0.2, 0.3)),
        (1, (0, 1, 0, 0)),
        (2, (0, 4 / 7, 0, 3 / 7)),
        (3, (0, 4 / 9, 2 / 9, 3 / 9)),
        (4, (0.1, 0.4, 0.2, 0.3)),
        (9, (0.1, 0.4, 0.2, 0.3)),
    ],
)
def test_the_most_probable_tokens_are_kept(top_k, expected):
    assert_shares(frequencies(logits_of(0.1, 0.4, 0.2, 0.3), top_k=top_k), *expected)


@pytest.mark.parametrize(
    ("top_p", "expected"),
    [
        (1e-6, (0, 1, 0, 0)),
        (0.5, (0, 1, 0, 0)),
        (0.5001, (0, 2 / 3, 0, 1 / 3)),
        (0.75, (0, 2 / 3, 0, 1 / 3)),
        (0.7501, (1 / 7, 4 / 7, 0, 2 / 7)),  # of two equally probable ones the smaller
        (0.99, (0.125, 0.5, 0.125, 0.25)),
        (1.0, (0.125, 0.5, 0.125, 0.25)),
    ],
)
def test_the_fewest_tokens_with_the_share_are_kept(top_p, expected):
    assert_shares(frequencies(logits_of(0.125, 0.5, 0.125, 0.25), top_p=top_p), *expected)


def test_the_share_is_one_of_what_top_k_keeps():
    logits = logits_of(0.4, 0.3, 0.2, 0.1)
    assert_shares(frequencies(logits, top_k=2, top_p=0.55), 1, 0, 0, 0)
    assert_shares(frequencies(logits, top_k=4, top_p=0.55), 4 / 7, 3 / 7, 0, 0)


def test_temperature_comes_before_the_share():
    logits = logits_of(0.6, 0.3, 0.1)
    assert_shares(frequencies(logits, top_p=0.55), 1, 0, 0)
    assert frequencies(logits, top_p=0.55, temperature=5.0)[1] > 0.4


def test_ties_go_to_the_smallest_token():
    level = torch.zeros(5)
    assert_shares(frequencies(level, top_k=2), 0.5, 0.5, 0, 0, 0)
    assert_shares(frequencies(level, top_p=0.41), 1 / 3, 1 / 3, 1 / 3, 0, 0)
    assert_shares(frequencies(level, temperature=0.0), 1, 0, 0, 0, 0)
    peaks = torch.tensor([0.0, 7.0, 3.0, 7.0])
    assert_shares(frequencies(peaks, temperature=0.0), 0, 1, 0, 0)


@pytest.mark.parametrize("sampling", [{}, {"top_k": 2}, {"top_p": 0.9}, {"temperature": 0.0}])
def test_what_is_not_allowed_counts_for_nothing(sampling):
    logits, allowed = torch.tensor([9.0, 1.0, 1.0, 8.0]), torch.tensor([False, True, True, False])
    expected = (0, 1, 0, 0) if sampling == {"temperature": 0.0} else (0, 0.5, 0.5, 0)
    assert_shares(frequencies(logits, allowed, **sampling), *expected)


@pytest.mark.parametrize("sampling", [Sampling(), Sampling(temperature=0.0), Sampling(top_p=0.5)])
def test_nothing_is_drawn_from_nothing(sampling):
    logits = torch.zeros(5, 3)
    logits[1, 2], logits[2, 0], logits[4, 1] = math.nan, math.inf, -math.inf
    allowed = torch.ones(5, 3, dtype=torch.bool)
    allowed[3] = False
    tokens = choose(logits, torch.zeros(5).double(), sampling=sampling, allowed=allowed)
    assert tokens.tolist() == [0, -1, -1, -1, 0]


@settings(max_examples=60)
@given(
    seed=st.integers(0, 2**20),
    vocabulary=st.sampled_from([1, 2, 7, 300, 16_384]),
    spread=st.sampled_from([0.0, 1.0, 10.0, 1e4]),
    share=st.sampled_from([1e-4, 0.3, 1.0]),
    sampling=st.builds(
        Sampling,
        temperature=st.sampled_from([0.0, 1e-3, 1.0, 100.0]),
        top_k=st.sampled_from([0, 1, 5, 2000]),
        top_p=st.sampled_from([1e-9, 0.5, 1.0]),
    ),
)
def test_only_allowed_tokens_are_chosen(seed, vocabulary, spread, share, sampling):
    generator = torch.Generator().manual_seed(seed)
    logits = spread * torch.randn(4, vocabulary, generator=generator)
    allowed = torch.rand(4, vocabulary, generator=generator) < share
    allowed[:, seed % vocabulary] = True
    before = logits.clone()
    for number in (0.0, 0.3, 1 - 2**-53, 1.0):
        numbers = torch.full((4,), number, dtype=torch.float64)
        tokens = choose(logits, numbers, sampling=sampling, allowed=allowed)
        assert allowed.gather(1, tokens[:, None]).all()
        chosen = logits.gather(1, tokens[:, None]).squeeze(1)
        if sampling.top_k:
            better = ((logits > chosen[:, None]) & allowed).sum(1)
            assert (better < sampling.top_k).all()
    assert torch.equal(logits, before)


def test_the_tail_of_a_large_vocabulary_keeps_its_mass():
    """The first of 16384 tokens has half of all, which leaves 3e-5 to each of the others."""
    logits = torch.zeros(16_384)
    logits[0] = math.log(16_383)
    tail = torch.linspace(0, 1, 200, dtype=torch.float64)[:-1]
    numbers = 0.5 + tail / 2
    tokens = choose(logits.expand(len(tail), -1), numbers, sampling=Sampling(), allowed=ANY)
    assert (tokens - (1 + (tail * 16_383).long())).abs().max() <= 1
    faint = torch.full((16_384,), -40.0)  # 4e-18 each: what float32 sums lose beside 1
    faint[0] = 0.0
    last = torch.tensor([1 - 2**-53], dtype=torch.float64)
    assert choose(faint[None], last, sampling=Sampling(), allowed=ANY) > 0


@pytest.mark.parametrize(
    "sampling",
    [Sampling(), Sampling(temperature=0.0), Sampling(temperature=2.0, top_k=50, top_p=0.8)],
)
def test_a_row_depends_on_nothing_but_itself(sampling):
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(33, 1000, generator=generator)
    numbers = torch.rand(33, dtype=torch.float64, generator=generator)
    allowed = torch.rand(33, 1000, generator=generator) < 0.5

    def chosen(rows):
        return choose(logits[rows], numbers[rows], sampling=sampling, allowed=allowed[rows])

    together = chosen(torch.arange(33))
    order = torch.randperm(33, generator=generator)
    assert torch.equal(chosen(order), together[order])
    assert torch.equal(torch.cat([chosen(torch.tensor([row])) for row in range(33)]), together)


def test_numbers_belong_to_a_seed_and_are_only_added_to():
    assert torch.equal(uniforms(3, 40)[:7], uniforms(3, 7))
    assert not torch.equal(uniforms(3, 7), uniforms(4, 7))
    first = torch.stack([uniforms(seed, 2) for seed in range(2000)])
    assert first.dtype == torch.float64
    assert 0 <= first.min() <= first.max() < 1
    # Neighbouring seeds are as good as independent: even shares, no correlation.
    counts = torch.stack([torch.histc(column, 10, 0, 1) for column in first.T])
    assert ((counts - 200).square() / 200).sum(1).max() < 27.9  # chi-square, 9 degrees, p = 0.001
    lagged = torch.corrcoef(torch.stack([first[:-1, 0], first[1:, 0]]))[0, 1]
    assert abs(lagged) < 3.3 / 2000**0.5


def test_guidance_extrapolates_from_the_null_class():
    conditional, unconditional = torch.tensor([[1.0, 3.0]]), torch.tensor([[0.5, 4.0]])
    assert guided(conditional, unconditional, 1.0).equal(conditional)
    assert guided(conditional, unconditional, 3.0).tolist() == [[2.0, 1.0]]
    assert guided(conditional.bfloat16(), unconditional.bfloat16(), 3.0).dtype == torch.float32
    odd = torch.randn(50, generator=torch.Generator().manual_seed(0))
    assert guided(odd, -7.3 * odd, 1.0).equal(odd)


def test_guidance_needs_a_null_class():
    without_null = GeneratorConfig(class_dropout=0.0)
    without_classes = GeneratorConfig(class_conditional=False, class_dropout=0.0)
    require_guidance(GeneratorConfig(), 1.5)
    for config in (without_null, without_classes):
        require_guidance(config, 1.0)
    with pytest.raises(ValueError, match=r"^guidance: the generator never sees the null class"):
        require_guidance(without_null, 1.5)
    with pytest.raises(ValueError, match=r"^guidance: the generator knows no classes"):
        require_guidance(without_classes, 1.5)
