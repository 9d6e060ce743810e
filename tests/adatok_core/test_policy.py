import pytest
import torch
from torch.nn import functional as F

from adatok_core.config import TokenizerConfig
from adatok_core.policy import EMBEDDING_WIDTH, BudgetPolicy, patches_of
from adatok_core.tokenizer import ElasticTokenizer, parameter_count


def policy_of(*, seed=0, trained=False, embed=False):
    torch.manual_seed(seed)
    policy = BudgetPolicy(length=6, width=8, candidates=3, pooling_queries=2, hidden=5, embed=embed)
    if trained:
        for parameter in policy.parameters():
            torch.nn.init.normal_(parameter)
    return policy


def features_of(count):
    return torch.randn(count, 6, 8, generator=torch.Generator().manual_seed(7))


@pytest.mark.parametrize("embed", [False, True])
def test_one_logit_per_candidate(embed):
    assert policy_of(embed=embed)(features_of(4)).shape == (4, 3)


@pytest.mark.parametrize("embed", [False, True])
def test_a_fresh_policy_is_uniform_and_learns_from_its_first_gradient(embed):
    policy = policy_of(embed=embed)
    logits = policy(features_of(4))
    torch.testing.assert_close(logits.softmax(-1), torch.full((4, 3), 1 / 3))
    logits[:, 0].sum().backward()
    assert policy.logits.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("embed", [False, True])
def test_the_gradient_stops_at_the_features(embed):
    features = features_of(4).requires_grad_()
    policy = policy_of(trained=True, embed=embed)
    policy(features).square().sum().backward()
    assert features.grad is None
    assert all(p.grad.abs().sum() > 0 for p in policy.parameters())


def test_the_most_probable_candidate_is_chosen():
    policy = policy_of(trained=True)
    features = features_of(200)
    with torch.no_grad():
        policy.logits.bias -= policy(features).mean(0)
    chosen = policy.choose(features)
    assert chosen.dtype == torch.int64
    assert torch.equal(chosen, policy(features).softmax(-1).max(-1).indices)
    assert len(chosen.unique()) == 3


@pytest.mark.parametrize("embed", [False, True])
def test_images_are_judged_one_by_one(embed):
    policy = policy_of(trained=True, embed=embed)
    features = features_of(4)
    torch.testing.assert_close(policy(features[2:3]), policy(features)[2:3], atol=1e-4, rtol=1e-4)


def test_the_scale_of_latents_does_not_matter_but_their_order_does():
    policy = policy_of(trained=True)
    features = features_of(4)
    torch.testing.assert_close(policy(features * 10), policy(features), atol=1e-2, rtol=1e-2)
    assert (policy(features.flip(1)) - policy(features)).abs().max() > 0.1
    with torch.no_grad():
        policy.position_bias.zero_()
    torch.testing.assert_close(policy(features.flip(1)), policy(features), atol=1e-4, rtol=1e-4)


def test_embedded_features_know_their_position_and_their_scale():
    policy = policy_of(trained=True, embed=True)
    features = features_of(4)
    assert (policy(features * 10) - policy(features)).abs().max() > 0.1
    with torch.no_grad():
        policy.position_bias.zero_()
    assert (policy(features.flip(1)) - policy(features)).abs().max() > 0.1
    with torch.no_grad():
        policy.positions.zero_()
    torch.testing.assert_close(policy(features.flip(1)), policy(features), atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("embed", [False, True])
def test_pooling_is_attention_over_the_positions(embed):
    policy = policy_of(trained=True, embed=embed)
    features = features_of(1)
    values = features[0]
    if embed:
        assert policy.embed.weight.shape == (EMBEDDING_WIDTH, 8)
        values = F.gelu(values @ policy.embed.weight.T + policy.embed.bias + policy.positions)
    values = policy.norm(values)
    pooled = []
    for query, bias in zip(policy.queries, policy.position_bias, strict=True):
        weights = torch.stack([query @ v + b for v, b in zip(values, bias, strict=True)]).softmax(0)
        pooled.append(weights @ values)
    hidden = F.gelu(policy.hidden(torch.cat(pooled)))
    torch.testing.assert_close(policy(features)[0], policy.logits(hidden), atol=1e-4, rtol=1e-4)


def test_the_policy_has_under_two_percent_of_the_tokenizer_s_parameters():
    config = TokenizerConfig()
    policy = BudgetPolicy(
        length=config.max_tokens,
        width=config.width,
        candidates=len(config.budgets),
        pooling_queries=4,
        hidden=32,
    )
    tokenizer = ElasticTokenizer(config, image_size=32)
    assert config.width == 128
    assert config.max_tokens == 16
    assert 0 < parameter_count(policy) < 0.02 * parameter_count(tokenizer)


def test_patches_are_the_image_s_squares_row_by_row_in_minus_one_to_one():
    pixels = torch.arange(2 * 3 * 4 * 6).reshape(2, 3, 4, 6).mul(2).clamp(max=255).byte()
    patches = patches_of(pixels, 2)
    assert patches.shape == (2, 6, 12)
    assert patches.dtype == torch.float32
    for row in range(2):
        for column in range(3):
            square = pixels[:, :, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
            torch.testing.assert_close(
                patches[:, 3 * row + column], square.flatten(1).float() / 127.5 - 1
            )
    extremes = patches_of(torch.tensor([0, 255], dtype=torch.uint8).repeat(1, 3, 2, 1), 1)
    assert extremes.min() == -1
    assert extremes.max() == 1
