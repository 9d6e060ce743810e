import sys
import threading
import time

import numpy as np
import pytest

from bench.store import machine
from bench.store.machine import sampled


def busy(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def test_samples_say_when_how_busy_and_how_much_memory():
    with sampled(every=0.1) as samples:
        block = np.ones(80 << 20, np.uint8)
        busy(0.5)
    assert set(samples) == {"seconds", "cpu_percent", "resident_memory_bytes"}
    assert len({len(column) for column in samples.values()}) == 1
    assert samples["seconds"] == sorted(samples["seconds"])
    assert samples["seconds"][-1] >= 0.3
    assert max(samples["cpu_percent"]) > 20
    assert max(samples["resident_memory_bytes"]) > len(block)


def test_a_short_block_has_one_sample():
    with sampled() as samples:
        pass
    assert len(samples["seconds"]) == 1


def test_long_blocks_are_thinned_evenly(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(machine.time, "monotonic", lambda: now[0])
    sampler = machine._Sampler(every=5.0, most=8)
    waited = []

    def wait(seconds):
        waited.append(seconds)
        now[0] += seconds
        return len(waited) > 40

    monkeypatch.setattr(sampler.stop, "wait", wait)
    sampler.run()
    gaps = {b - a for a, b in zip(*[sampler.samples["seconds"][i:] for i in (0, 1)], strict=False)}
    assert gaps == {sampler.every}
    assert 4 <= len(sampler.samples["seconds"]) <= 8
    assert waited == sorted(waited)
    assert waited[-1] > 5.0


def test_a_machine_that_tells_nothing_fails_nothing(monkeypatch):
    monkeypatch.setitem(sys.modules, "psutil", None)
    with sampled() as samples:
        pass
    assert samples == {}


def test_an_error_of_the_block_is_its_own_and_ends_the_thread():
    with pytest.raises(KeyError), sampled():
        raise KeyError
    assert "machine samples" not in {thread.name for thread in threading.enumerate()}


class Gpu:
    class cuda:
        @staticmethod
        def is_initialized():
            return True

        @staticmethod
        def memory_reserved():
            return 7

        @staticmethod
        def utilization():
            raise ModuleNotFoundError("pynvml")


def test_a_gpu_in_use_is_sampled(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", Gpu)
    with sampled() as samples:
        pass
    assert samples["gpu_memory_bytes"] == [7.0]
    assert "gpu_percent" not in samples
    monkeypatch.setattr(Gpu.cuda, "utilization", staticmethod(lambda: 31))
    with sampled() as samples:
        pass
    assert samples["gpu_percent"] == [31.0]
