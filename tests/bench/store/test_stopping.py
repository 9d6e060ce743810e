import signal
import threading
import time

import pytest

from bench.store import stopping
from bench.store.stopping import Stopping, ask_to_stop, stopped_by_signals


def test_only_a_stage_that_looks_is_asked_and_only_once():
    assert not ask_to_stop()
    one = Stopping()
    with stopped_by_signals(one):
        assert not ask_to_stop()  # It has never looked.
        assert not one.looked()
        assert ask_to_stop()
        assert one.looked()
        assert not ask_to_stop()  # The second signal interrupts.
    assert not ask_to_stop()


def test_one_that_has_not_looked_for_long_or_has_ended_is_not_asked(monkeypatch):
    one = Stopping()
    one.looked()
    monkeypatch.setattr(stopping, "HEEDING_SECONDS", 0.0)
    assert not one.heeded
    monkeypatch.undo()
    assert one.heeded
    one.idle()
    assert not one.heeded


def test_a_step_that_takes_too_long_is_interrupted(monkeypatch):
    monkeypatch.setattr(stopping, "GRACE_SECONDS", 0.05)
    before = signal.getsignal(signal.SIGALRM)
    one = Stopping()

    def sleep():
        with stopped_by_signals(one):
            one.looked()
            assert ask_to_stop()
            time.sleep(10)

    try:
        with pytest.raises(KeyboardInterrupt):
            sleep()
        assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    finally:
        signal.signal(signal.SIGALRM, before)


def test_another_thread_asks():
    one = Stopping()
    thread = threading.Thread(target=one.ask)
    thread.start()
    thread.join()
    assert one.asked
