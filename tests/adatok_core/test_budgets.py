import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from adatok_core.budgets import heads_of, prefix_mask, sample_lengths, trained_lengths
from adatok_core.config import LengthSampling

deterministic = settings(deadline=None, derandomize=True, max_examples=50)
budget_sets = st.sets(st.integers(1, 40), min_size=1, max_size=6).map(lambda b: tuple(sorted(b)))
samplings = st.builds(
    LengthSampling,
    distribution=st.sampled_from(["candidates", "all", "powers_of_two"]),
    per=st.sampled_from(["image", "batch"]),
    full_share=st.sampled_from([0.0, 0.01, 0.5, 1.0]),
)


def draw(budgets, count, *, seed=0, **options):
    generator = torch.Generator().manual_seed(seed)
    return sample_lengths(budgets, count, config=LengthSampling(**options), generator=generator)


@pytest.mark.parametrize(
    ("budgets", "distribution", "values"),
    [
        ((2, 4, 9, 16), "candidates", [2, 4, 9, 16]),
        ((3, 5), "all", [1, 2, 3, 4, 5]),
        ((3, 256), "powers_of_two", [1, 2, 4, 8, 16, 32, 64, 128, 256]),
        ((24,), "powers_of_two", [1, 2, 4, 8, 16]),
    ],
)
def test_lengths_are_drawn_uniformly_over_the_distribution(budgets, distribution, values):
    expected = 1000
    drawn = draw(budgets, expected * len(values), distribution=distribution)
    assert drawn.dtype == torch.int64
    seen, counts = drawn.unique(return_counts=True)
    assert seen.tolist() == values
    assert ((counts - expected).abs() < 140).all()  # 4.4 standard deviations


@pytest.mark.parametrize(
    ("distribution", "mean"), [("candidates", 136), ("all", 128.5), ("powers_of_two", 511 / 9)]
)
def test_distributions_have_their_known_means(distribution, mean):
    drawn = draw((16, 256), 40_000, distribution=distribution).double()
    assert drawn.mean().item() == pytest.approx(mean, abs=4 * drawn.std().item() / 200)


def test_a_batch_shares_one_draw_and_images_do_not():
    batches = torch.stack([draw((2, 4, 8, 16), 20, per="batch", seed=s) for s in range(400)])
    assert (batches == batches[:, :1]).all()
    counts = batches[:, 0].unique(return_counts=True)[1]
    assert len(counts) == 4
    assert ((counts - 100).abs() < 40).all()
    assert len(draw((2, 4, 8, 16), 20, per="image").unique()) == 4


@pytest.mark.parametrize("per", ["image", "batch"])
@pytest.mark.parametrize(
    ("share", "full"), [(0.0, 0), (0.01, 1), (0.25, 3), (0.3, 4), (0.5, 6), (1.0, 12)]
)
def test_full_share_is_an_exact_number_of_images_at_random_places(per, share, full):
    # One draw in 32768 is full by itself: none of those here.
    places = torch.zeros(12)
    for seed in range(120):
        kept = draw((3, 2**15), 12, distribution="all", per=per, full_share=share, seed=seed)
        assert (kept == 2**15).sum() == full
        places += kept == 2**15
    assert ((places - 10 * full).abs() <= 24).all()


@deterministic
@given(budget_sets, samplings, st.integers(0, 1000))
def test_draws_lie_among_the_trained_lengths_and_depend_on_the_generator_alone(
    budgets, sampling, seed
):
    def sample():
        generator = torch.Generator().manual_seed(seed)
        return sample_lengths(budgets, 20, config=sampling, generator=generator)

    state = torch.get_rng_state()
    drawn = sample()
    assert drawn.shape == (20,)
    assert set(drawn.tolist()) <= set(trained_lengths(budgets, sampling))
    assert torch.equal(drawn, sample())
    assert torch.equal(state, torch.get_rng_state())


def test_another_seed_draws_other_lengths():
    assert not torch.equal(draw((2, 4, 8), 50, seed=0), draw((2, 4, 8), 50, seed=1))


@pytest.mark.parametrize(
    ("options", "lengths"),
    [
        ({}, (3, 6, 12)),
        ({"per": "batch"}, (3, 6, 12)),
        ({"distribution": "all"}, tuple(range(1, 13))),
        ({"distribution": "powers_of_two"}, (1, 2, 4, 8)),
        ({"distribution": "powers_of_two", "full_share": 0.1}, (1, 2, 4, 8, 12)),
        ({"distribution": "all", "full_share": 1.0}, (12,)),
    ],
)
def test_trained_lengths_are_all_that_can_be_drawn(options, lengths):
    assert trained_lengths((3, 6, 12), LengthSampling(**options)) == lengths
    drawn = {k for seed in range(60) for k in draw((3, 6, 12), 16, seed=seed, **options).tolist()}
    assert drawn == set(lengths)


@deterministic
@given(budget_sets)
def test_every_budget_is_served_by_the_smallest_head_that_reaches_it(budgets):
    kept = torch.arange(1, budgets[-1] + 1)
    expected = [min(m for m, b in enumerate(budgets) if b >= k) for k in kept.tolist()]
    assert heads_of(kept, budgets).tolist() == expected


@pytest.mark.parametrize("outside", [0, -1, 9])
def test_a_budget_outside_the_tokenizer_is_refused(outside):
    with pytest.raises(ValueError, match=r"1\.\.8"):
        heads_of(torch.tensor([4, outside]), (2, 8))


def test_no_images_have_no_heads():
    assert heads_of(torch.tensor([], dtype=torch.int64), (2, 8)).tolist() == []


def test_prefix_mask_marks_the_first_tokens():
    mask = prefix_mask(torch.tensor([1, 3, 0]), 3)
    assert mask.dtype == torch.bool
    assert mask.int().tolist() == [[1, 0, 0], [1, 1, 1], [0, 0, 0]]
