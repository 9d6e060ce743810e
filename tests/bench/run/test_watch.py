import io
import sys
import threading
import time

import pytest
from rich.console import Console

from bench.graph.nodes import Node
from bench.run import watch
from bench.run.agenda import Agenda
from bench.run.under_way import UnderWay
from bench.store.progress import Teller
from bench.store.stage import Outcome, Resources
from bench.store.store import Store


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run of two stages, the first of them at 600 of 2000 steps after 60 s."""
    store = Store.open(tmp_path)
    nodes = [Node("data", {"count": n, "resolution": 8}, {}, {}, Resources()) for n in (1, 2)]
    agenda = Agenda(nodes, store, print)
    agenda.guessed = set()
    agenda.schedule.reckon(dict(zip(nodes, (300.0, 200.0), strict=True)))
    run = UnderWay(agenda, None)
    first = agenda.take()
    now = [100.0]
    with monkeypatch.context() as patch:
        patch.setattr(watch.threading, "excepthook", pytest.fail)
        patch.setattr("bench.store.progress.time.monotonic", lambda: now[0])
        teller = Teller(store.work(first.stage, first.key))
        for now[0], done in ((100.0, 0), (160.0, 600)):
            teller.tell(done, 2000, "steps, loss 0.0123")
    monkeypatch.setattr(watch, "SECONDS_BETWEEN_LINES", 0.01)
    monkeypatch.setattr(watch, "SECONDS_BETWEEN_DRAWINGS", 0.01)
    return run


def wait_until(condition):
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_lines_say_how_far_how_fast_and_how_long(run):
    said = []
    with watch.lines(said.append)(run):
        wait_until(lambda: len(said) >= 2)
    (name,) = run.agenda.running
    assert said[0] == f"  {name} 600/2000 steps, loss 0.0123, 10/s, 2 min 20 s left"
    assert said[1] == "  0/2 stages, 5 min 40 s left"
    assert "watch" not in {thread.name for thread in threading.enumerate()}


def test_bars_show_run_and_stages_in_80_columns(run):
    (name,) = run.agenda.running
    shown = io.StringIO()
    console = Console(file=shown, force_terminal=True, width=80, height=20, color_system=None)
    with watch.bars(console)(run):
        wait_until(lambda: "loss" in shown.getvalue())
        first = shown.getvalue()
        run.agenda.end(Outcome(name, "failed", 200.0))
        second = run.agenda.take()
        Teller(run.agenda.store.work(second.stage, second.key)).tell(1, 2000, "steps, loss 0.5")
        wait_until(lambda: "1/2000" in shown.getvalue())
    lines = [line for line in first.splitlines() if name[:17] in line]
    assert "600/2000 steps, loss 0.0123, 10/s" in lines[0]
    assert lines[0].rstrip().endswith("2 min 20 s left")
    assert len(lines[0].rstrip()) <= 80
    assert "all stages" in first
    assert "0/2 stages" in first
    assert "5 min 40 s left" in first
    last = shown.getvalue().rsplit("all stages", 1)[1]
    assert "1/2 stages" in last
    assert name[:17] not in last


@pytest.mark.parametrize(
    ("terminal", "kind"), [("xterm", "bars"), ("dumb", "lines"), (None, "lines")]
)
def test_bars_only_where_a_terminal_can_draw_them(monkeypatch, terminal, kind):
    monkeypatch.setenv("TERM", terminal or "xterm")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal is not None)
    for name in ("bars", "lines"):
        monkeypatch.setattr(watch, name, lambda target, name=name: name)
    assert watch.watch_on_stderr(print) == kind
