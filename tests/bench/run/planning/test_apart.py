import os
import signal

import pytest

from bench.run.planning import apart as module
from bench.run.planning.apart import apart


@pytest.fixture(autouse=True)
def own_process():
    """No other test meets a process that has died."""
    module._process.cache_clear()
    yield
    module._process().shutdown()
    module._process.cache_clear()


def test_a_process_that_was_killed_while_idle_is_replaced():
    first = apart(os.getpid)
    os.kill(first, signal.SIGKILL)
    assert apart(os.getpid) not in (None, first)


def test_a_function_that_ends_every_process_gives_nothing():
    assert apart(os._exit, 3) is None
    assert apart(abs, -2) == 2
