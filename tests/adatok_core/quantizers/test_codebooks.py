import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from adatok_core.quantizers.codebooks import PositionNorm, count_usage, matching_loss, revive

deterministic = settings(deadline=None, derandomize=True, max_examples=50)


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def revived(points, *, size=20, dead=8, below=0.03, seed=0):
    codebook = 100 + torch.arange(size * 2.0).reshape(size, 2)
    usage = torch.ones(size)
    usage[:dead] = 0.01
    before = codebook.clone()
    revive(codebook, usage, points, below=below, generator=seeded(seed))
    return codebook, usage, (codebook != before).any(-1)


@deterministic
@given(st.integers(0, 99), st.integers(0, 20), st.integers(1, 6), st.integers(1, 30))
def test_revived_codes_are_distinct_points(seed, dead, batch, distinct):
    pool = torch.randn(distinct, 2, generator=seeded(seed))
    picks = torch.randint(distinct, (batch, 4), generator=seeded(seed))
    points = pool[picks]
    codebook, usage, moved = revived(points, dead=dead, seed=seed)
    count = min(dead, len(picks.unique()))
    assert moved.nonzero().flatten().tolist() == list(range(count))
    assert len(codebook[moved].unique(dim=0)) == count
    present = {tuple(point) for point in points.flatten(0, 1).tolist()}
    assert all(tuple(code) in present for code in codebook[moved].tolist())
    assert (usage[:count] == 1).all()
    assert (usage[count:dead] == torch.tensor(0.01)).all()


def test_codes_that_got_no_point_wait_for_the_next_batch():
    codebook, usage = torch.zeros(5, 2), torch.zeros(5)
    for seed, waiting in enumerate([3, 1, 0]):
        points = torch.randn(1, 2, 2, generator=seeded(seed))
        revive(codebook, usage, points, below=0.1, generator=seeded(seed))
        assert (usage == 0).sum() == waiting
    assert len(codebook.unique(dim=0)) == 5


def test_points_are_drawn_from_the_generator():
    points = torch.randn(4, 10, 2, generator=seeded(5))
    state = torch.get_rng_state()
    first, again, other = (revived(points, seed=seed)[0] for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize(("below", "count"), [(0.0, 0), (0.005, 0), (0.03, 8), (1.0, 8)])
def test_the_threshold_decides_what_is_dead(below, count):
    points = torch.randn(4, 10, 2, generator=seeded(5))
    assert revived(points, below=below)[2].sum() == count


@pytest.mark.parametrize("decay", [0.0, 0.9])
def test_usage_averages_the_draws_per_code(decay):
    usage, expected = torch.ones(16), torch.ones(16)
    for seed in range(2):
        ids = torch.randint(12, (4, 10), generator=seeded(seed))
        count_usage(usage, ids, decay=decay)
        draws = torch.tensor([(ids == code).sum() for code in range(16)])
        expected = decay * expected + (1 - decay) * draws / 40 * 16
    torch.testing.assert_close(usage, expected)
    assert usage.sum().item() == pytest.approx(16, rel=1e-5)


def test_the_loss_pulls_codes_and_points_apart_from_each_other():
    points = torch.tensor([[[1.0, 0.0], [0.0, 2.0]]], requires_grad=True)
    codes = torch.tensor([[[0.0, 0.0], [0.0, 0.0]]], requires_grad=True)
    loss = matching_loss(points, codes, commitment=0.5)
    loss.backward()
    assert loss.item() == pytest.approx((1 + 4) / 2 * 1.5)
    torch.testing.assert_close(codes.grad, torch.tensor([[[-1.0, 0.0], [0.0, -2.0]]]))
    torch.testing.assert_close(points.grad, -0.5 * codes.grad)


def test_positions_are_normalised_over_the_batch_and_by_running_statistics_elsewhere():
    torch.manual_seed(0)
    norm = PositionNorm(4, 3, momentum=1.0)
    points = 5 + torch.randn(1, 4, 3) + 0.1 * torch.randn(200, 4, 3)
    assert torch.allclose(norm(points, learn=False), points, rtol=1e-4)
    learned = norm(points, learn=True)
    torch.testing.assert_close(learned.mean(0), torch.zeros(4, 3), atol=1e-4, rtol=0)
    torch.testing.assert_close(learned.std(0), torch.ones(4, 3), atol=1e-2, rtol=0)
    # One image alone now gets what it got in the batch.
    torch.testing.assert_close(norm(points[:1], learn=False), learned[:1], atol=2e-2, rtol=0)


def test_fewer_points_are_those_of_the_first_positions():
    norm = PositionNorm(4, 3, momentum=1.0)
    points = torch.arange(4.0)[:, None] + torch.randn(50, 4, 3, generator=seeded(0))
    learned = norm(points[:, :2], learn=True)
    torch.testing.assert_close(norm.mean.view(4, 3)[:2], points[:, :2].mean(0))
    assert torch.equal(norm.mean[6:], torch.zeros(6))
    assert torch.equal(norm.variance[6:], torch.ones(6))
    torch.testing.assert_close(norm(points[:, :2], learn=False), learned, atol=5e-2, rtol=0)


def test_momentum_weighs_the_latest_batch():
    means = []
    for momentum in (0.1, 0.5):
        norm = PositionNorm(1, 1, momentum=momentum)
        norm(torch.tensor([[[1.0]], [[3.0]]]), learn=True)
        means.append(norm.mean.item())
    assert means == pytest.approx([0.2, 1.0])
