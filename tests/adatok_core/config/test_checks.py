import pytest

from adatok_core.config.checks import require, require_budgets


def test_a_condition_that_fails_is_an_error_with_its_message():
    require(True, "key: fine")
    with pytest.raises(ValueError, match=r"^key: broken$"):
        require(False, "key: broken")


@pytest.mark.parametrize(
    ("budgets", "at_least", "complaint"),
    [
        ((), 1, "budgets: needs 1 or more budgets"),
        ((4,), 2, "budgets: needs 2 or more budgets"),
        ((0, 4), 1, "budgets: the smallest must be 1 or more"),
        ((-2, 4), 1, "budgets: the smallest must be 1 or more"),
        ((2, 8, 4), 1, r"budgets: \[2, 8, 4\] must increase strictly"),
        ((2, 4, 4), 1, r"budgets: \[2, 4, 4\] must increase strictly"),
    ],
)
def test_budgets_out_of_range_are_refused(budgets, at_least, complaint):
    with pytest.raises(ValueError, match=f"^{complaint}$"):
        require_budgets("budgets", budgets, at_least=at_least)


@pytest.mark.parametrize(("budgets", "at_least"), [((1,), 1), ((1, 2), 2), ((3, 5, 9), 2)])
def test_increasing_budgets_are_accepted(budgets, at_least):
    require_budgets("budgets", budgets, at_least=at_least)
