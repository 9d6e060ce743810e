import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from adatok_core import batches
from adatok_core.batches import batch_epochs, batch_indices, step_generator

deterministic = settings(deadline=None, derandomize=True, max_examples=50)


@deterministic
@given(
    count=st.integers(1, 12), batch=st.integers(1, 30), seed=st.integers(0, 5), first=st.integers(0)
)
def test_every_epoch_visits_every_image_once(count, batch, seed, first):
    start = first % 5
    steps = range(start * count, start * count + count)  # whole epochs: count * batch images
    drawn = torch.cat([batch_indices(s, count=count, batch=batch, seed=seed) for s in steps])
    assert drawn.dtype == torch.int64
    for epoch in drawn.view(batch, count):
        assert epoch.sort().values.tolist() == list(range(count))


def test_batches_are_a_pure_function_of_seed_and_step():
    def draw(step, seed=0):
        return batch_indices(step, count=30, batch=30, seed=seed).tolist()  # an epoch each

    state = torch.get_rng_state()
    assert draw(7) == draw(7)
    assert draw(7) != draw(8)
    assert draw(7) != draw(7, seed=1)
    assert torch.equal(state, torch.get_rng_state())


def test_steps_and_epochs_of_any_seed_draw_apart():
    seeds = [step_generator(seed, step).initial_seed() for seed in range(3) for step in range(9)]
    assert len(set(seeds)) == len(seeds)
    state = step_generator(0, 1).get_state()
    assert torch.equal(state, step_generator(0, 1).get_state())


def test_an_epoch_is_one_permutation_that_is_drawn_once(monkeypatch):
    batches._order.cache_clear()
    drawn = []

    def randperm(count, **how):
        drawn.append(count)
        return torch_randperm(count, **how)

    torch_randperm = torch.randperm
    monkeypatch.setattr(torch, "randperm", randperm)
    steps = [batch_indices(step, count=1000, batch=300, seed=3) for step in range(10)]
    assert drawn == [1000] * 3
    expected = []
    for epoch in range(3):
        generator = torch.Generator().manual_seed((3 * 1_000_003 + epoch) * 2 + 2**40 + 1)
        expected.append(torch_randperm(1000, generator=generator))
    assert torch.equal(torch.cat(steps), torch.cat(expected))


def test_epochs_of_a_batch_that_reaches_into_the_next():
    assert batch_epochs(3, count=10, batch=4).tolist() == [1] * 4
    assert batch_epochs(2, count=10, batch=4).tolist() == [0, 0, 1, 1]
