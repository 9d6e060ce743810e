import pytest
import torch


@pytest.fixture
def model(tokenizer_of):
    """Of budgets 2, 4, 7; it has learned to tell kept from dropped tokens."""
    model = tokenizer_of(encoding="told", tail="zeros")
    with torch.no_grad():
        model.encoder.told += torch.randn(2, 16, generator=torch.Generator().manual_seed(1))
    return model


def seen_by(model, images, kept):
    """Queries `[B, N, D]` that enter the transformer."""
    seen = []
    handle = model.encoder.transformer.register_forward_hook(
        lambda _, given, __: seen.append(given)
    )
    model.encoder(images, kept)
    handle.remove()
    return seen[0][0][:, :7]


def test_each_query_is_told_whether_its_token_is_kept(model, images):
    kept = torch.tensor([1, 2, 3, 4, 6, 7])
    told = seen_by(model, images, kept) - model.encoder.queries
    for row, count in zip(told, kept.tolist(), strict=True):
        torch.testing.assert_close(row[:count], model.encoder.told[1].expand(count, -1))
        torch.testing.assert_close(row[count:], model.encoder.told[0].expand(7 - count, -1))


def test_what_a_kept_token_says_depends_on_how_many_are_kept(model, images):
    few, many = model.encode(images, 3)[1], model.encode(images, 4)[1]
    assert ((few - many[:, :3]).abs() > 1e-4).any(-1).all()
    assert not torch.equal(model.encode(images, 3)[0], model.encode(images)[0][:, :3])


def test_without_a_budget_all_are_kept(model, images):
    assert torch.equal(seen_by(model, images, None), seen_by(model, images, torch.full((6,), 7)))


def test_an_untrained_one_is_told_nothing(tokenizer_of, images):
    model = tokenizer_of(encoding="told")
    assert torch.equal(model.encode(images, 2)[1], model.encode(images)[1][:, :2])


def test_each_image_is_told_its_own_budget(model, images):
    kept = torch.tensor([7, 1, 4, 2, 2, 3])
    mixed = model.encoder(images, kept)
    for i, count in enumerate(kept):
        alone = model.encoder(images[i : i + 1], count[None])
        torch.testing.assert_close(alone[0], mixed[i], atol=1e-5, rtol=0)
