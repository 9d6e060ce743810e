import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from adatok_core.budgets import heads_of
from adatok_core.config import LengthSampling
from adatok_core.lengths import expected_shares, sample_lengths, step_lengths, trained_lengths

deterministic = settings(deadline=None, derandomize=True, max_examples=50)
budget_sets = st.sets(st.integers(1, 40), min_size=1, max_size=6).map(lambda b: tuple(sorted(b)))
samplings = st.builds(
    LengthSampling,
    distribution=st.sampled_from(["candidates", "all", "powers_of_two"]),
    per=st.sampled_from(["image", "batch"]),
    full_share=st.sampled_from([0.0, 0.01, 0.5, 1.0]),
)


def draw(budgets, count, *, seed=0, chosen=None, **options):
    generator, config = torch.Generator().manual_seed(seed), LengthSampling(**options)
    return sample_lengths(budgets, count, config=config, generator=generator, chosen=chosen)


def draw_step(budgets, count, *, seed=0, chosen=None, **options):
    generator, config = torch.Generator().manual_seed(seed), LengthSampling(**options)
    return step_lengths(budgets, count, config=config, generator=generator, chosen=chosen)


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
        ({"distribution": "policy"}, (3, 6, 12)),
        ({"distribution": "policy", "rest": "powers_of_two"}, (1, 2, 3, 4, 6, 8, 12)),
        ({"distribution": "policy", "share": 1.0, "rest": "all"}, (3, 6, 12)),
        ({"distribution": "policy", "share": 0.0, "rest": "powers_of_two"}, (1, 2, 4, 8)),
        ({"distribution": "powers_of_two", "decodes": "pairs"}, (1, 2, 4, 8, 12)),
        (
            {"distribution": "policy", "share": 1.0, "rest": "all", "decodes": "sandwich"},
            (1, 3, 6, 12),
        ),
    ],
)
def test_trained_lengths_are_all_that_can_be_drawn(options, lengths):
    assert trained_lengths((3, 6, 12), LengthSampling(**options)) == lengths
    chosen, drawn = torch.tensor([3, 6, 12, 12] * 4), set()
    for seed in range(60):
        drawn |= set(
            draw_step((3, 6, 12), 16, seed=seed, chosen=chosen, **options).unique().tolist()
        )
    assert drawn == set(lengths)


def test_of_what_a_policy_chose_the_lengths_that_occur_are_trained():
    config = LengthSampling(distribution="policy", share=1.0)
    assert trained_lengths((3, 6, 12), config, chosen=torch.tensor([12, 3, 3])) == (3, 12)


@pytest.mark.parametrize(
    ("decodes", "fixed", "draws"),
    [
        ({}, [], 1),
        ({"decodes": "pairs"}, [12], 1),
        ({"decodes": "sandwich"}, [12, 1], 1),
        ({"decodes": "sandwich", "drawn": 2}, [12, 1], 2),
    ],
)
def test_a_step_decodes_fixed_lengths_then_drawn_ones(decodes, fixed, draws):
    kept = draw_step((3, 12), 400, distribution="all", **decodes)
    assert LengthSampling(**decodes).decodings == len(kept) == len(fixed) + draws
    assert [row.unique().tolist() for row in kept[: len(fixed)]] == [[k] for k in fixed]
    assert torch.equal(kept[len(fixed)], draw((3, 12), 400, distribution="all"))
    assert all(len(row.unique()) == 12 for row in kept[len(fixed) :])
    assert len({tuple(row.tolist()) for row in kept}) == len(kept)


@pytest.mark.parametrize(
    "options",
    [
        {"distribution": "all", "full_share": 0.3},
        {"distribution": "policy", "share": 0.7, "rest": "powers_of_two", "full_share": 0.1},
        {"distribution": "policy", "decodes": "pairs"},
        {"distribution": "policy", "decodes": "sandwich", "drawn": 2, "per": "batch"},
    ],
)
def test_expected_shares_are_those_of_many_steps(options):
    budgets, chosen = (3, 6, 12), torch.tensor([5, 5, 5, 12] * 3)
    seen = torch.zeros(3)
    for seed in range(400):
        heads = heads_of(draw_step(budgets, 12, seed=seed, chosen=chosen, **options), budgets)
        seen += torch.bincount(heads.flatten(), minlength=3) / heads.numel() / 400
    shares = expected_shares(budgets, 12, config=LengthSampling(**options), chosen=chosen)
    assert shares.sum().item() == pytest.approx(1)
    torch.testing.assert_close(seen, shares, atol=0.02, rtol=0)


@pytest.mark.parametrize("per", ["image", "batch"])
@pytest.mark.parametrize(
    ("share", "full_share", "kept_by_policy"),
    [(0.0, 0.0, 0), (0.01, 0.0, 1), (0.8, 0.0, 10), (1.0, 0.0, 12), (1.0, 0.25, 9)],
)
def test_a_share_keeps_what_was_chosen_and_the_rest_draws(per, share, full_share, kept_by_policy):
    # Nobody else draws these lengths.
    chosen = torch.arange(100, 112)
    options = {"distribution": "policy", "rest": "powers_of_two", "per": per}
    places = torch.zeros(12)
    for seed in range(60):
        kept = draw(
            (3, 256), 12, seed=seed, chosen=chosen, share=share, full_share=full_share, **options
        )
        policy = (kept >= 100) & (kept < 112)
        assert policy.sum() == kept_by_policy
        assert torch.equal(kept[policy], chosen[policy])
        assert set(kept[~policy].tolist()) <= {2**power for power in range(9)}
        places += policy
    assert ((places - 5 * kept_by_policy).abs() <= 18).all()


def test_draws_of_the_other_distributions_are_the_very_same_as_ever():
    drawn = draw((2, 4, 8, 16), 12, seed=7, full_share=0.25)
    assert drawn.tolist() == [16, 2, 4, 8, 16, 16, 16, 16, 16, 4, 8, 16]
    drawn = draw((2, 4, 8, 16), 12, seed=7, distribution="all")
    assert drawn.tolist() == [16, 5, 10, 7, 4, 4, 8, 8, 13, 10, 15, 8]
    with pytest.raises(ValueError, match=r"^lengths\.distribution: policy needs the lengths"):
        draw((2, 4), 4, distribution="policy")
