import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from adatok_core.config import GeneratorConfig
from adatok_core.generator.model import Generator, hidden_width, rotary_tables, rotate

SHAPES = [(norm, positions) for norm in ("rms", "layer") for positions in ("rotary", "learned")]


def tokens_of(vocabulary, *, count=2, length=5, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(vocabulary.size, (count, length), generator=generator)


@pytest.mark.parametrize(("norm", "positions"), SHAPES)
@torch.no_grad()
def test_a_prediction_depends_on_all_that_came_before_and_on_nothing_after(
    untrained, norm, positions
):
    generator, vocabulary = untrained(norm=norm, positions=positions)
    tokens = tokens_of(vocabulary)
    logits = generator(torch.tensor([0, 3]), tokens)
    assert logits.shape == (2, 6, vocabulary.size)
    for place in range(5):
        changed = tokens.clone()
        changed[:, place] = (changed[:, place] + 1) % vocabulary.size
        differs = (generator(torch.tensor([0, 3]), changed) != logits).any(-1)
        assert differs.tolist() == [[p > place for p in range(6)]] * 2


@pytest.mark.parametrize(("norm", "positions"), SHAPES)
@torch.no_grad()
def test_the_order_of_what_came_before_matters(untrained, norm, positions):
    generator, _ = untrained(norm=norm, positions=positions)
    there, back = (
        generator(torch.tensor([0]), torch.tensor([ids])) for ids in ([1, 2, 3], [2, 1, 3])
    )
    assert (there[0, -1] - back[0, -1]).abs().max() > 1e-3


@torch.no_grad()
def test_the_class_matters_where_there_are_classes(untrained):
    generator, vocabulary = untrained()
    tokens = tokens_of(vocabulary, count=1).expand(4, -1)
    logits = generator(torch.arange(4), tokens)
    assert all(not torch.equal(logits[0], other) for other in logits[1:])
    unconditional, _ = untrained(class_conditional=False, class_dropout=0.0)
    assert len(unconditional.entries.weight) == vocabulary.size + 1
    assert unconditional(None, tokens).shape == logits.shape


def test_a_sequence_past_the_last_position_is_refused(untrained):
    generator, vocabulary = untrained()
    with pytest.raises(ValueError, match=r"^tokens: 7 positions exceed the model's 6$"):
        generator(torch.zeros(2, dtype=torch.int64), tokens_of(vocabulary, length=6))


def test_the_seed_fixes_the_weights(untrained):
    first, again, other = (untrained(seed=seed)[0].state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["entries.weight"], other["entries.weight"])


def test_the_shape_of_llamagen_b_has_111_million_parameters():
    config = GeneratorConfig(width=768, depth=12, attention_heads=12)
    assert hidden_width(config) == 2048
    with torch.device("meta"):
        generator = Generator(config, vocabulary_size=16384, classes=1000, max_steps=256)
    assert sum(parameter.numel() for parameter in generator.parameters()) == 110_888_448


@pytest.mark.parametrize(("hidden", "expected"), [(None, 384), (100, 100)])
def test_the_gated_network_has_the_width_that_is_given(untrained, hidden, expected):
    assert hidden_width(GeneratorConfig(width=128, hidden=hidden)) == expected
    generator, _ = untrained(hidden=hidden)
    assert generator.blocks[0].contract.in_features == hidden_width(generator.config)


@pytest.mark.parametrize("depth", [1, 12])
@torch.no_grad()
def test_predictions_start_nearly_uniform_at_any_depth(depth):
    torch.manual_seed(0)
    config = GeneratorConfig(width=64, depth=depth)
    generator = Generator(config, vocabulary_size=100, classes=3, max_steps=20)
    chances = generator(torch.tensor([0]), torch.arange(19)[None]).softmax(-1)
    assert 0.003 < chances.min() < chances.max() < 0.03


@settings(deadline=None, derandomize=True, max_examples=20)
@given(first=st.integers(0, 20), second=st.integers(0, 20), shift=st.integers(0, 20))
def test_rotary_scores_depend_on_the_distance_alone(first, second, shift):
    tables = rotary_tables(50, 8)
    query, key = torch.randn(2, 8, generator=torch.Generator().manual_seed(0))

    def score(at, of):
        return rotate(query, tables[:, at]) @ rotate(key, tables[:, of])

    near, far = score(first, second), score(first + shift, second + shift)
    torch.testing.assert_close(near, far, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(rotate(query, tables[:, first]).norm(), query.norm())
