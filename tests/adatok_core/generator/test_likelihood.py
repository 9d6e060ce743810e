import itertools
import math

import pytest
import torch

from adatok_core.config import GeneratorConfig
from adatok_core.generator.likelihood import class_labels, likelihood, next_token_logits
from adatok_core.generator.model import Generator
from adatok_core.generator.sequences import Vocabulary

LAYOUTS = ("fixed", "end_token", "length_token")


def tiny(lengths, budgets=(1, 2), codes=3):
    """A generator of so few sequences that all of them can be listed."""
    vocabulary = Vocabulary(codes=codes, budgets=budgets, lengths=lengths, classes=2)
    torch.manual_seed(0)
    generator = Generator(
        GeneratorConfig(lengths=lengths, width=8, depth=1, attention_heads=2),
        vocabulary_size=vocabulary.size,
        classes=2,
        max_steps=vocabulary.max_steps,
    )
    torch.nn.init.normal_(generator.logits.weight, std=0.5)
    return generator, vocabulary


def all_images(length, codes=3):
    rows = [(*row, 0)[:2] for row in itertools.product(range(codes), repeat=length)]
    return {"ids": torch.tensor(rows), "lengths": torch.full((len(rows),), length)}


def chances(made, images, label=1):
    """The probability of each image."""
    parts = zip(images["ids"].split(1), images["lengths"].split(1), strict=True)
    labels = torch.tensor([label])
    return [
        math.exp(-likelihood(*made, ids=ids, lengths=kept, labels=labels).nats_per_image)
        for ids, kept in parts
    ]


def logits_after(made, tokens, label=1):
    """The raw logits after the given tokens."""
    with torch.no_grad():
        tokens = torch.tensor([tokens], dtype=torch.int64)
        return made[0](torch.tensor([label]), tokens)[0, -1]


def test_all_sequences_together_have_the_probability_one():
    assert sum(chances(tiny("fixed"), all_images(2))) == pytest.approx(1)
    told = tiny("length_token")
    by_length = [sum(chances(told, all_images(length))) for length in (1, 2)]
    assert sum(by_length) == pytest.approx(1)
    expected = logits_after(told, [])[3:].softmax(0)
    assert by_length == pytest.approx(expected.tolist())


def test_what_an_end_token_leaves_is_never_ended():
    made = tiny("end_token")
    first = logits_after(made, [])[:3].softmax(0)  # no end at once
    unended = 0.0
    for a, b in itertools.product(range(3), repeat=2):
        second = logits_after(made, [a]).softmax(0)[b]
        unended += (first[a] * second * (1 - logits_after(made, [a, b]).softmax(0)[3])).item()
    ended = sum(sum(chances(made, all_images(length))) for length in (1, 2))
    assert 0.01 < unended < 0.99
    assert ended == pytest.approx(1 - unended)


def test_ids_and_length_are_counted_apart():
    ids, kept, labels = torch.tensor([[2, 1]]), torch.tensor([2]), torch.tensor([1])
    told = tiny("length_token")
    measured = likelihood(*told, ids=ids, lengths=kept, labels=labels)
    of_length = -logits_after(told, [])[3:].log_softmax(0)[1].item()
    of_ids = -logits_after(told, [4])[:3].log_softmax(0)[2].item()
    of_ids -= logits_after(told, [4, 2])[:3].log_softmax(0)[1].item()
    assert measured.length_nats_per_image == pytest.approx(of_length)
    assert measured.nats_per_token == pytest.approx(of_ids / 2)
    ending = tiny("end_token")
    measured = likelihood(*ending, ids=ids, lengths=kept, labels=labels)
    goes_on = 1 - logits_after(ending, [2]).softmax(0)[3].item()
    ends = logits_after(ending, [2, 1]).softmax(0)[3].item()
    assert measured.length_nats_per_image == pytest.approx(-math.log(goes_on) - math.log(ends))
    plain = likelihood(*tiny("fixed"), ids=ids, lengths=kept, labels=labels)
    assert plain.length_nats_per_image == 0


@pytest.mark.parametrize("lengths", LAYOUTS)
def test_means_are_over_images_and_over_tokens(lengths):
    made = tiny(lengths)
    ids = torch.tensor([[0, 1], [2, 2], [1, 0], [1, 1], [0, 2]], dtype=torch.int16)
    kept, labels = torch.tensor([1, 2, 1, 2, 2]), torch.tensor([0, 1, 1, 0, 1])
    each = [
        likelihood(*made, ids=ids[i, None], lengths=kept[i, None], labels=labels[i, None])
        for i in range(5)
    ]
    for batch in (2, 64):
        whole = likelihood(*made, ids=ids, lengths=kept, labels=labels, batch=batch)
        assert whole.nats_per_image == pytest.approx(sum(e.nats_per_image for e in each) / 5)
        total = sum(e.nats_per_token * k for e, k in zip(each, kept.tolist(), strict=True))
        assert whole.nats_per_token == pytest.approx(total / 8)
        parts = whole.nats_per_token * 8 / 5 + whole.length_nats_per_image
        assert whole.nats_per_image == pytest.approx(parts)


@pytest.mark.parametrize("lengths", LAYOUTS)
def test_what_may_not_stand_at_a_place_has_no_chance(lengths):
    generator, vocabulary = tiny(lengths)
    tokens, _ = vocabulary.sequences(torch.tensor([[2, 1]]), torch.tensor([2]))
    logits = next_token_logits(generator, vocabulary, torch.tensor([0]), tokens)
    allowed = vocabulary.allowed(torch.arange(tokens.shape[1]))
    assert torch.equal(logits[0].isfinite(), allowed)
    with torch.no_grad():
        raw = generator(torch.tensor([0]), tokens[:, :-1])[0]
    assert torch.equal(logits[0][allowed], raw[allowed])


def test_labels_are_classes():
    made = tiny("fixed")
    images = all_images(1)
    for labels in (None, torch.tensor([0]), torch.tensor([0, 1, 2]), torch.tensor([0, -1, 1])):
        with pytest.raises(ValueError, match=r"^labels: "):
            likelihood(*made, **images, labels=labels)


def test_without_classes_labels_do_not_matter():
    config = GeneratorConfig(
        width=8, depth=1, attention_heads=2, class_conditional=False, class_dropout=0.0
    )
    generator = Generator(config, vocabulary_size=3, classes=2, max_steps=2)
    assert class_labels(generator, torch.tensor([7]), count=1) is None
    vocabulary = Vocabulary(codes=3, budgets=(1, 2), classes=2)
    images = all_images(2)
    some = likelihood(generator, vocabulary, **images, labels=torch.arange(9))
    assert some == likelihood(generator, vocabulary, **images, labels=None)
