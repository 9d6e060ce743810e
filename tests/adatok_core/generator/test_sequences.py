import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from adatok_core.generator.sequences import Vocabulary

LAYOUTS = ("fixed", "end_token", "length_token")
IDS = torch.tensor([[3, 1, 4, 1], [5, 2, 6, 5], [0, 0, 7, 7]])
LENGTHS = torch.tensor([1, 4, 2])


def vocabulary_of(lengths, budgets=(1, 2, 4), codes=8):
    return Vocabulary(codes=codes, budgets=budgets, lengths=lengths)


@st.composite
def images(draw):
    """A vocabulary with ids and lengths that fit it."""
    lengths = draw(st.sampled_from(LAYOUTS))
    budgets = tuple(sorted(draw(st.sets(st.integers(1, 6), min_size=1, max_size=3))))
    codes = draw(st.integers(1, 5))
    kept = st.sampled_from(budgets) if lengths == "length_token" else st.integers(1, budgets[-1])
    width = budgets[-1] + draw(st.integers(0, 1))
    row = st.lists(st.integers(0, codes - 1), min_size=width, max_size=width)
    ids = torch.tensor(draw(st.lists(row, min_size=1, max_size=4)))
    kept = torch.tensor(draw(st.lists(kept, min_size=len(ids), max_size=len(ids))))
    return vocabulary_of(lengths, budgets, codes), ids, kept


@given(images())
def test_what_a_sequence_says_is_read_back(case):
    vocabulary, ids, kept = case
    tokens, predicted = vocabulary.sequences(ids, kept)
    for row, mask, image, length in zip(tokens, predicted, ids, kept.tolist(), strict=True):
        parsed = vocabulary.parse(row[mask])
        assert parsed.ids.tolist() == image[:length].tolist()
        assert (parsed.length, parsed.unended) == (length, False)


@given(images())
def test_every_predicted_token_is_allowed_and_tells_when_it_is_over(case):
    vocabulary, ids, kept = case
    tokens, predicted = vocabulary.sequences(ids, kept)
    total = torch.full((len(ids),), vocabulary.max_steps)
    if vocabulary.lengths == "fixed":
        total = kept.clone()
    over = torch.zeros(len(ids), dtype=torch.bool)
    for step in range(tokens.shape[1]):
        steps = torch.full((len(ids),), step)
        allowed = vocabulary.allowed(steps).gather(1, tokens[:, step : step + 1])
        assert allowed[predicted[:, step]].all()
        assert torch.equal(predicted[:, step], ~over)
        total = vocabulary.steps_after(tokens[:, step], steps=steps, total=total).where(
            ~over, total
        )
        over |= steps + 1 >= total
    assert over.all()
    assert tokens.shape[1] <= vocabulary.max_steps


def test_sequences_of_a_fixed_length_are_the_ids():
    tokens, predicted = vocabulary_of("fixed").sequences(IDS, LENGTHS)
    assert tokens.tolist() == [[3, 0, 0, 0], [5, 2, 6, 5], [0, 0, 0, 0]]
    assert predicted.sum(1).tolist() == [1, 4, 2]
    assert tokens.dtype == torch.int64


def test_an_end_token_follows_the_last_id():
    tokens, predicted = vocabulary_of("end_token").sequences(IDS.int(), LENGTHS.int())
    assert tokens.tolist() == [[3, 8, 0, 0, 0], [5, 2, 6, 5, 8], [0, 0, 8, 0, 0]]
    assert predicted.sum(1).tolist() == [2, 5, 3]


def test_a_length_token_comes_first():
    tokens, predicted = vocabulary_of("length_token").sequences(IDS.short(), LENGTHS.short())
    assert tokens.tolist() == [[8, 3, 0, 0, 0], [10, 5, 2, 6, 5], [9, 0, 0, 0, 0]]
    assert predicted.sum(1).tolist() == [2, 5, 3]
    assert tokens.dtype == torch.int64


@pytest.mark.parametrize("lengths", LAYOUTS)
def test_sequences_are_as_long_as_the_longest_of_them(lengths):
    vocabulary = vocabulary_of(lengths)
    tokens, predicted = vocabulary.sequences(IDS[[0, 2]], LENGTHS[[0, 2]])
    assert tokens.shape == predicted.shape == (2, 2 + (lengths != "fixed"))
    assert vocabulary.max_steps == 4 + (lengths != "fixed")


@pytest.mark.parametrize(
    ("lengths", "size"), [("fixed", 8), ("end_token", 9), ("length_token", 11)]
)
def test_the_end_is_one_token_and_each_budget_has_one(lengths, size):
    assert vocabulary_of(lengths).size == size


@pytest.mark.parametrize(
    ("lengths", "first", "later"),
    [
        ("fixed", range(8), range(8)),
        ("end_token", range(8), range(9)),
        ("length_token", range(8, 11), range(8)),
    ],
)
def test_no_end_comes_first_and_no_length_later(lengths, first, later):
    allowed = vocabulary_of(lengths).allowed(torch.tensor([0, 1, 4]))
    assert [row.nonzero().flatten().tolist() for row in allowed] == [[*first], [*later], [*later]]


@pytest.mark.parametrize(
    ("lengths", "first", "later"),
    [
        ("fixed", range(8), range(8)),
        ("end_token", range(8), range(8)),
        ("length_token", [9], range(8)),
    ],
)
def test_a_length_that_is_asked_for_leaves_no_choice_of_it(lengths, first, later):
    vocabulary, steps = vocabulary_of(lengths), torch.tensor([0, 0, 2])
    asked = vocabulary.allowed(steps, torch.tensor([2, 0, 2]))
    free = vocabulary.allowed(steps)
    assert asked[0].nonzero().flatten().tolist() == [*first]
    assert torch.equal(asked[1], free[1])
    assert asked[2].nonzero().flatten().tolist() == [*later]


def test_steps_of_an_image():
    cases = {"fixed": (4, 2), "end_token": (5, 2), "length_token": (5, 3)}
    for lengths, expected in cases.items():
        vocabulary = vocabulary_of(lengths)
        assert (vocabulary.steps_of(None), vocabulary.steps_of(2)) == expected
        for length in (0, 5):
            with pytest.raises(ValueError, match=rf"^length: {length} does not lie in 1\.\.4$"):
                vocabulary.steps_of(length)
    assert vocabulary_of("end_token").steps_of(3) == 3
    with pytest.raises(ValueError, match=r"^length: 3 is none of the budgets \[1, 2, 4\]$"):
        vocabulary_of("length_token").steps_of(3)


def test_a_sequence_that_never_ends_is_cut():
    vocabulary = vocabulary_of("end_token")
    cut = vocabulary.parse(torch.tensor([5, 2, 6, 5, 1]))
    assert (cut.ids.tolist(), cut.length, cut.unended) == ([5, 2, 6, 5], 4, True)
    ended = vocabulary.parse(torch.tensor([5, 2, 6, 5, 8]))
    assert (ended.ids.tolist(), ended.unended) == ([5, 2, 6, 5], False)
    asked = vocabulary.parse(torch.tensor([5, 2, 6, 5]), length=4)
    assert (asked.ids.tolist(), asked.unended) == ([5, 2, 6, 5], False)


@pytest.mark.parametrize("lengths", LAYOUTS)
@pytest.mark.parametrize(
    ("ids", "kept", "complaint"),
    [
        (IDS, LENGTHS - 1, r"lengths: must lie in 1\.\.4"),
        (IDS, LENGTHS + 1, r"lengths: must lie in 1\.\.4"),
        (IDS[:, :3], LENGTHS, r"lengths: must lie in 1\.\.3"),
        (IDS + 1, LENGTHS, r"ids: must lie in 0\.\.7"),
        (IDS - 1, LENGTHS, r"ids: must lie in 0\.\.7"),
    ],
)
def test_what_is_no_image_of_the_vocabulary_is_refused(lengths, ids, kept, complaint):
    with pytest.raises(ValueError, match=f"^{complaint}$"):
        vocabulary_of(lengths).sequences(ids, kept)


def test_only_a_budget_has_a_length_token():
    lengths = torch.tensor([1, 3, 2])
    with pytest.raises(ValueError, match=r"^lengths: each must be one of the budgets \[1, 2, 4\]$"):
        vocabulary_of("length_token").sequences(IDS, lengths)
    vocabulary_of("end_token").sequences(IDS, lengths)


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"budgets": ()}, r"budgets: \[\] must"),
        ({"budgets": (2, 1)}, r"budgets: \[2, 1\] must"),
        ({"budgets": (1, 1)}, r"budgets: \[1, 1\] must"),
        ({"budgets": (0, 1)}, r"budgets: \[0, 1\] must"),
        ({"codes": 0}, "codes: 0 must"),
        ({"classes": -1}, "classes: -1 must"),
    ],
)
def test_a_vocabulary_of_nothing_is_refused(values, complaint):
    with pytest.raises(ValueError, match=f"^{complaint}"):
        Vocabulary(**{"codes": 8, "budgets": (1, 2), **values})


def test_a_label_is_a_class_of_the_generator():
    vocabulary = Vocabulary(codes=8, budgets=(4,), classes=3)
    for label in (0, 2):
        vocabulary.require_label(label, class_conditional=True)
    vocabulary.require_label(None, class_conditional=False)
    for label in (-1, 3, None):
        with pytest.raises(ValueError, match=rf"^label: {label} is no class of 0\.\.2$"):
            vocabulary.require_label(label, class_conditional=True)
    with pytest.raises(ValueError, match=r"^label: 1, but the generator knows no classes$"):
        vocabulary.require_label(1, class_conditional=False)
