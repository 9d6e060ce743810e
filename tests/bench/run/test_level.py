from dataclasses import replace

import pytest

from bench.run.level import Level, Took
from bench.store.progress import Teller, Told
from bench.store.stage import Outcome, Resources, StageSpec
from bench.store.store import Store

SPECS = [
    StageSpec(stage, 1, {"number": number}, {}, {}, Resources())
    for stage, number in (("tokenizer", 0), ("tokenizer", 1), ("data", 0))
]
FIRST, SECOND, DATA = SPECS


@pytest.fixture
def level(tmp_path):
    return Level(1, 3, SPECS, Store.open(tmp_path), Took({"data": [4.0, 6.0]}))


def at(seconds, left):
    return Told(1, 2, "", seconds=seconds, seconds_left=left)


def test_nobody_can_say_before_anything_is_known(level):
    assert level.seconds_left({}) is None
    assert level.seconds_left({FIRST.name: at(3.0, None)}) is None


def test_stages_that_wait_are_expected_to_need_what_like_ones_do(level):
    # 10 more seconds of the first, 40 in all of its like, 5 of the data; one at a time.
    assert level.seconds_left({FIRST.name: at(30.0, 10.0)}) == 55.0
    # The data began 2 s ago, and has no pace yet; two at a time.
    running = {FIRST.name: at(5.0, 10.0), DATA.name: at(2.0, None)}
    assert level.seconds_left(running) == 15.0
    running = {FIRST.name: at(1.0, 14.0), DATA.name: at(0.0, None)}
    assert level.seconds_left(running) == (14.0 + 15.0 + 5.0) / 2


def test_what_finished_ones_took_counts_more_than_what_others_expect(level):
    level.end(Outcome(FIRST.name, "computed", 20.0))
    assert level.seconds_left({SECOND.name: at(5.0, 100.0)}) == 105.0
    assert level.seconds_left({DATA.name: at(2.0, 1.0)}) == 21.0


def test_it_lasts_as_long_as_its_slowest(level):
    level.end(Outcome(DATA.name, "cached"))
    running = {FIRST.name: at(1.0, 100.0), SECOND.name: at(1.0, 2.0)}
    assert level.seconds_left(running) == 100.0
    for spec in (FIRST, SECOND):
        level.end(Outcome(spec.name, "failed", 3.0))
    assert level.seconds_left({}) == 0.0
    assert "tokenizer" not in level.took.seconds


def test_only_what_was_told_since_it_began_and_has_not_ended_is_running(level):
    for spec in SPECS[:2]:
        Teller(level.store.work(spec.stage, spec.key)).tell(1, 9)
    assert set(level.running()) == {FIRST.name, SECOND.name}
    level.end(Outcome(FIRST.name, "failed"))
    assert set(level.running()) == {SECOND.name}
    replace(level, ended=set()).begin()
    assert level.running() == {}
