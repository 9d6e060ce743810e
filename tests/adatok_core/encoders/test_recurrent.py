import pytest
import torch

BUDGETS = (2, 4, 8)
ROOMY = {"atol": 1e-5, "rtol": 0}


@pytest.fixture
def model(tokenizer_of):
    return tokenizer_of(encoding="recurrent", rollouts=4, budgets=BUDGETS)


@pytest.fixture
def lengths(model):
    """Sequences that entered the transformer so far: their lengths without the 16 patches."""
    seen = []
    model.encoder.transformer.register_forward_hook(
        lambda _, given, __: seen.append(given[0].shape[1] - 16)
    )
    return seen


@pytest.mark.parametrize(
    ("budget", "expected"),
    [(1, [2]), (2, [2]), (3, [2, 4]), (4, [2, 4]), (7, [2, 4, 6, 8]), (None, [2, 4, 6, 8])],
)
def test_no_more_roll_outs_than_the_budget_takes(model, images, lengths, budget, expected):
    model.encode(images, budget)
    assert lengths == expected


def test_a_roll_out_reads_its_queries_the_latents_so_far_and_the_patches(model, images):
    seen = []
    model.encoder.transformer.register_forward_hook(
        lambda _, given, made: seen.append((given[0], made))
    )
    model.encode(images, 4)
    (first, made), (second, _) = seen
    torch.testing.assert_close(first[0, :2], model.encoder.queries[:2])
    assert torch.equal(second[:, :2], made[:, :2])
    torch.testing.assert_close(second[0, 2:4], model.encoder.queries[2:4])
    assert torch.equal(first[:, 2:], second[:, 4:])


def test_later_roll_outs_refine_earlier_latents(model, images):
    first, full = model.encode(images, 2)[1], model.encode(images)[1]
    assert ((first - full[:, :2]).abs() > 1e-3).any(-1).all()


def test_what_an_earlier_roll_out_found_reaches_later_ones(model, images):
    before = model.encode(images)[1]
    bumped = []

    def bump(_, __, made):
        bumped.append(None)
        return made + (torch.linspace(-2, 2, 16) if len(bumped) == 1 else 0)

    model.encoder.transformer.register_forward_hook(bump)
    assert ((model.encode(images)[1] - before).abs() > 1e-4).any(-1).all()


def test_each_image_of_a_mixed_batch_has_its_own_roll_outs(model, images, lengths):
    kept = torch.tensor([1, 2, 3, 4, 6, 5])
    mixed = model.encoder(images, kept)
    assert lengths == [2, 4, 6]
    assert mixed.shape == (6, 6, 16)
    for i, count in enumerate(kept.tolist()):
        alone = model.encoder(images[i : i + 1], kept[i : i + 1])
        torch.testing.assert_close(alone[0, :count], mixed[i, :count], **ROOMY)
    # What is behind is no stand-in: the quantizer learns from it.
    torch.testing.assert_close(mixed[0, 4:], model.encoder(images, torch.full((6,), 6))[0, 4:])


def test_a_single_roll_out_is_one_pass(tokenizer_of, images):
    once = tokenizer_of(encoding="recurrent", rollouts=1, budgets=(7,))
    plain = tokenizer_of(budgets=(7,))
    torch.testing.assert_close(once.encode(images)[1], plain.encode(images)[1])
