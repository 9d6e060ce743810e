import torch

from adatok_core.config import TokenizerConfig
from adatok_core.policy import BudgetPolicy
from adatok_core.tokenizer import ElasticTokenizer, parameter_count


def policy_of(*, seed=0, trained=False):
    torch.manual_seed(seed)
    policy = BudgetPolicy(latents=6, width=8, candidates=3, pooling_queries=2, hidden=5)
    if trained:
        for parameter in policy.parameters():
            torch.nn.init.normal_(parameter)
    return policy


def test_one_logit_per_candidate():
    assert policy_of()(torch.randn(4, 6, 8)).shape == (4, 3)


def test_a_fresh_policy_is_uniform():
    logits = policy_of()(torch.randn(4, 6, 8))
    torch.testing.assert_close(logits.softmax(-1), torch.full((4, 3), 1 / 3))


def test_a_fresh_policy_learns_from_its_first_gradient():
    policy = policy_of()
    policy(torch.randn(4, 6, 8))[:, 0].sum().backward()
    assert policy.logits.weight.grad.abs().sum() > 0


def test_the_gradient_stops_at_the_latents():
    latents = torch.randn(4, 6, 8, requires_grad=True)
    policy = policy_of(trained=True)
    policy(latents).square().sum().backward()
    assert latents.grad is None
    assert all(p.grad.abs().sum() > 0 for p in policy.parameters())


def test_the_most_probable_candidate_is_chosen():
    policy = policy_of(trained=True)
    latents = torch.randn(200, 6, 8)
    with torch.no_grad():
        policy.logits.bias -= policy(latents).mean(0)
    chosen = policy.choose(latents)
    assert chosen.dtype == torch.int64
    assert torch.equal(chosen, policy(latents).softmax(-1).max(-1).indices)
    assert len(chosen.unique()) == 3


def test_images_are_judged_one_by_one():
    policy = policy_of(trained=True)
    latents = torch.randn(4, 6, 8)
    torch.testing.assert_close(policy(latents[2:3]), policy(latents)[2:3], atol=1e-5, rtol=1e-5)


def test_the_scale_of_the_latents_does_not_matter_but_their_order_does():
    policy = policy_of(trained=True)
    latents = torch.randn(4, 6, 8)
    torch.testing.assert_close(policy(latents * 10), policy(latents), atol=1e-2, rtol=1e-2)
    assert (policy(latents.flip(1)) - policy(latents)).abs().max() > 0.1
    with torch.no_grad():
        policy.latent_bias.zero_()
    torch.testing.assert_close(policy(latents.flip(1)), policy(latents), atol=1e-4, rtol=1e-4)


def test_pooling_is_attention_over_the_latents():
    policy = policy_of(trained=True)
    latents = torch.randn(1, 6, 8)
    values = policy.norm(latents)[0]
    pooled = []
    for query, bias in zip(policy.queries, policy.latent_bias, strict=True):
        weights = torch.stack([query @ v + b for v, b in zip(values, bias, strict=True)]).softmax(0)
        pooled.append(weights @ values)
    hidden = torch.nn.functional.gelu(policy.hidden(torch.cat(pooled)))
    torch.testing.assert_close(policy(latents)[0], policy.logits(hidden))


def test_the_policy_has_under_two_percent_of_the_tokenizer_s_parameters():
    config = TokenizerConfig()
    policy = BudgetPolicy(
        latents=config.max_tokens,
        width=config.width,
        candidates=len(config.budgets),
        pooling_queries=4,
        hidden=32,
    )
    tokenizer = ElasticTokenizer(config, image_size=32)
    assert config.width == 128
    assert config.max_tokens == 16
    assert 0 < parameter_count(policy) < 0.02 * parameter_count(tokenizer)
