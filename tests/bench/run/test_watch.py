import io
import sys
import threading
import time

import pytest
from rich.console import Console

from bench.run import watch
from bench.run.level import Level, Took
from bench.store.progress import Teller
from bench.store.stage import Outcome, Resources, StageSpec
from bench.store.store import Store

SPECS = [StageSpec("tokenizer", 1, {"number": n}, {}, {}, Resources()) for n in range(2)]
FIRST, SECOND = SPECS


@pytest.fixture
def level(tmp_path, monkeypatch):
    """A level of two, the first of them at 600 of 2000 steps after 60 s."""
    level = Level(2, 8, SPECS, Store.open(tmp_path), Took())
    now = [100.0]
    with monkeypatch.context() as patch:
        patch.setattr(watch.threading, "excepthook", pytest.fail)
        patch.setattr("bench.store.progress.time.monotonic", lambda: now[0])
        teller = Teller(level.store.work(FIRST.stage, FIRST.key))
        for now[0], done in ((100.0, 0), (160.0, 600)):
            teller.tell(done, 2000, "steps, loss 0.0123")
    monkeypatch.setattr(watch, "SECONDS_BETWEEN_LINES", 0.01)
    monkeypatch.setattr(watch, "SECONDS_BETWEEN_DRAWINGS", 0.01)
    return level


def wait_until(condition):
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_lines_say_how_far_and_how_long(level):
    said = []
    with watch.lines(said.append)(level):
        wait_until(lambda: len(said) >= 2)
    assert said[0] == f"  {FIRST.name} 600/2000 steps, loss 0.0123, 2 min 20 s left"
    assert said[1] == "  0/2 stages of this level, 5 min 40 s left"
    assert "watch" not in {thread.name for thread in threading.enumerate()}


def test_bars_show_level_and_stages_in_80_columns(level):
    shown = io.StringIO()
    console = Console(file=shown, force_terminal=True, width=80, height=20, color_system=None)
    with watch.bars(console)(level):
        wait_until(lambda: "loss" in shown.getvalue())
        first = shown.getvalue()
        level.end(Outcome(FIRST.name, "computed", 200.0))
        Teller(level.store.work(SECOND.stage, SECOND.key)).tell(1, 2000, "steps, loss 0.5")
        wait_until(lambda: "1/2000" in shown.getvalue())
    lines = [line for line in first.splitlines() if FIRST.name[:17] in line]
    assert "600/2000 steps, loss 0.0123" in lines[0]
    assert lines[0].rstrip().endswith("2 min 20 s left")
    assert len(lines[0].rstrip()) <= 80
    assert "level 2 of 8" in first
    assert "0/2 stages" in first
    assert "5 min 40 s left" in first
    last = shown.getvalue().rsplit("level 2 of 8", 1)[1]
    assert "1/2 stages" in last
    assert FIRST.name[:17] not in last


@pytest.mark.parametrize(
    ("terminal", "kind"), [("xterm", "bars"), ("dumb", "lines"), (None, "lines")]
)
def test_bars_only_where_a_terminal_can_draw_them(monkeypatch, terminal, kind):
    monkeypatch.setenv("TERM", terminal or "xterm")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal is not None)
    for name in ("bars", "lines"):
        monkeypatch.setattr(watch, name, lambda target, name=name: name)
    assert watch.watch_on_stderr(print) == kind
