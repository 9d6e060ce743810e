import pytest

from bench.records.agreement import ABSENT, differences, leaves

OURS = {"a": 1.5, "b": {"c": [1, 2, {"d": None}], "timed": 3.0}, "e": True, "f": "x"}


def test_the_same_values_have_no_differences_whatever_their_order():
    same = {"f": "x", "e": True, "b": {"timed": 3.0, "c": [1.0, 2, {"d": None}]}, "a": 1.5}
    assert list(differences(OURS, same)) == []
    assert leaves(OURS) == 7


@pytest.mark.parametrize(
    ("theirs", "expected"),
    [
        ({**OURS, "a": 1.5000000000000002}, ("a", 1.5, 1.5000000000000002)),
        ({**OURS, "e": 1}, ("e", True, 1)),
        ({**OURS, "a": None}, ("a", 1.5, None)),
        ({**OURS, "f": {"x": 1}}, ("f", "x", {"x": 1})),
        ({**OURS, "g": 0}, ("g", ABSENT, 0)),
        ({name: OURS[name] for name in "abe"}, ("f", "x", ABSENT)),
        ({**OURS, "b": {"c": [1, 2, {"d": 0}], "timed": 3.0}}, ("b.c[2].d", None, 0)),
        ({**OURS, "b": {"c": [1, 2], "timed": 3.0}}, ("b.c (number of)", 3, 2)),
    ],
)
def test_each_leaf_that_differs_is_named_with_both_values(theirs, expected):
    assert list(differences(OURS, theirs)) == [expected]


def test_names_that_are_left_out_are_neither_compared_nor_counted():
    theirs = {**OURS, "a": 0, "b": {**OURS["b"], "timed": 4.0}}
    found = list(differences(OURS, theirs, without=("timed",)))
    assert [one.path for one in found] == ["a"]
    assert leaves(OURS, without=("timed", "a")) == 5
