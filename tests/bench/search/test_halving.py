import pytest

from bench.config.search import StopEarly
from bench.search.halving import Halving, is_among_best
from bench.store.store import Store


def rule(**changes):
    return StopEarly(**{"scheduler": "asha", "metric": "mse", "grace": 10, **changes})


def test_rungs_lie_below_the_last_step():
    assert rule().rungs(90) == (10, 30)
    assert rule().rungs(91) == (10, 30, 90)
    assert rule(grace=4, reduction=2).rungs(20) == (4, 8, 16)
    assert rule(grace=1, reduction=1.2).rungs(6) == (1, 2, 3, 4, 5)


@pytest.mark.parametrize(
    ("value", "others", "goes_on"),
    [
        (5, [], True),  # The first, and each that is better than all before.
        (4, [5], True),
        (6, [5], False),
        (5, [5], False),  # Who was there first is ahead.
        (6, [5, 7, 8, 9], False),  # Of five, floor(5 / 3) = 1.
        (6, [5, 7, 8, 9, 9], True),  # Of six, two.
    ],
)
def test_the_best_share_of_those_so_far_goes_on(value, others, goes_on):
    for sign in (1, -1):
        signed = [sign * other for other in others]
        kept = is_among_best(sign * value, signed, reduction=3, higher_is_better=sign < 0)
        assert kept == goes_on


def test_decisions_stand_and_a_checkpoint_comes_before_a_stop(tmp_path):
    store = Store.open(tmp_path)
    kept = []

    def judge(key, value, step=10):
        return Halving(store, "arm").judge(
            key, step, lambda: value, reduction=3, higher_is_better=False,
            keep=lambda: kept.append((key, len(Halving(store, "arm").judged()))),
        )  # fmt: skip

    assert judge("a", 0.5).goes_on
    assert not judge("b", 0.6).goes_on
    assert kept == [("b", 1)]
    assert judge("c", 0.4).goes_on
    assert judge("c", 0.7, step=30).goes_on  # Other rungs are other contests.
    # Whoever comes again finds what was decided, whatever it measures now.
    assert judge("a", 0.9).value == 0.5
    halving = Halving(store, "arm")
    assert halving.stopped("b").step == 10
    assert halving.stopped("a") is None
    assert [one.step for one in halving.of("c")] == [10, 30]
    assert Halving(store, "other arm").judged() == []
