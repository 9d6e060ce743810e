"""Tokenizers made here and elsewhere: equal arrays, and one line for whatever goes wrong."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from bench.errors import UserError
from bench.external import host
from bench.external.guest import MissingFileError, invite, source_of

IMAGES = np.random.default_rng(0).random((6, 3, 8, 8), np.float32)


def refused(act):
    with pytest.raises(UserError) as error:
        act()
    line = str(error.value)
    assert "\n" not in line
    return line


def test_a_tokenizer_gives_the_same_here_and_elsewhere(origin):
    here, elsewhere = invite(origin()), invite(origin(python=sys.executable))
    assert here.description == elsewhere.description
    for method, array in (("encode", IMAGES), ("decode", np.arange(24).reshape(6, 4) % 16)):
        for one, other in zip(here.call(method, array), elsewhere.call(method, array), strict=True):
            assert one.dtype == other.dtype
            np.testing.assert_array_equal(one, other)


def test_one_on_torch_does_too(broken):
    change = (
        "def describe(self): return {**super().describe(), 'arrays': 'torch'}\n"
        "def encode(self, images):\n"
        "    import torch\n"
        "    assert torch.is_inference_mode_enabled() and images.dtype == torch.float32\n"
        "    return images[:, 0, 0, :4].mul(15).long(), images.flatten(1).bfloat16()\n"
        "def decode(self, ids):\n"
        "    return (ids / 16).float()[:, :1, None, None].expand(-1, 3, 8, 8)\n"
    )
    here, elsewhere = invite(broken(change)), invite(broken(change, sys.executable))
    ids, features = here.call("encode", IMAGES)
    assert features.dtype == np.float32
    for one, other in zip([ids, features], elsewhere.call("encode", IMAGES), strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(*(one.call("decode", ids) for one in (here, elsewhere)))


def test_it_may_write_into_what_it_is_given(broken, python):
    change = "def decode(self, ids):\n    ids += 1\n    return super().decode(ids)"
    ids = np.zeros((2, 4), np.int64)
    invite(broken(change, python)).call("decode", ids)
    assert not ids.any()


def test_what_it_prints_is_no_result(broken, python, capfd):
    change = (
        "def describe(self):\n    print('hello')\n    return super().describe()\n"
        "def encode(self, images):\n"
        "    import os, sys\n"
        "    print('hello'); sys.stdout.flush()\n"
        "    return super().encode(images)\n"
    )
    ids, _ = invite(broken(change, python)).call("encode", IMAGES)
    assert ids.shape == (6, 4)
    assert capfd.readouterr().out == ""


def test_it_does_not_read_the_requests(broken):
    change = "def encode(self, images):\n    import sys\n    assert not sys.stdin.read()\n"
    change += "    return super().encode(images)"
    assert invite(broken(change, sys.executable)).call("encode", IMAGES)[0].shape == (6, 4)


MADE_WRONG = [
    ("def __init__(self): raise ValueError('two\\nlines')", "cannot be made: ValueError: two"),
    ("def __init__(self): raise RuntimeError", "RuntimeError: no reason given"),
    ("def __init__(self): import sys; sys.exit(3)", "cannot be made: SystemExit: 3"),
    ("def __init__(self): self.__init__()", "RecursionError"),
    ("def __init__(self, weights): pass", "missing 1 required positional argument: 'weights'"),
    ("def __init__(self): import nothere", "No module named 'nothere'"),
    ("def describe(self): raise KeyError('n')", "KeyError: 'n'"),
    ("def describe(self): pass", "TypeError"),
    ("def describe(self): return 3", "TypeError"),
    ("def describe(self): return {'resolution': object()}", "AttributeError"),
    ("def describe(self): return {'resolution': 8}", "describe(): max_tokens: missing"),
    ("def describe(self): return {'resolution': '8', 'max_tokens': 4}", "describe(): resolution"),
    ("def describe(self): return {**super().describe(), 'rezolution': 8}", "rezolution"),
    ("def describe(self): return {**super().describe(), 'range': [1, 0]}", "range"),
    ("def describe(self): return {**super().describe(), 'range': [0, float('nan')]}", "range"),
]


@pytest.mark.parametrize(("change", "expected"), MADE_WRONG)
def test_one_that_cannot_be_made_is_one_line(broken, change, expected):
    line = refused(lambda: invite(broken(change)))
    assert line.startswith("tokenizer broken.py:Broken: ")
    assert expected in line


def test_elsewhere_too(broken):
    for change, expected in (*MADE_WRONG[:3], MADE_WRONG[3], MADE_WRONG[6], MADE_WRONG[10]):
        assert expected in refused(lambda change=change: invite(broken(change, sys.executable)))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("raise OSError('gone')", "OSError: gone"),
        ("import sys; sys.exit()", "SystemExit"),
        ("def broken(:", "SyntaxError"),
        ("Broken = 3", "TypeError: 3 is not a callable object"),
        ("", "no attribute 'Broken'"),
    ],
)
def test_a_module_that_cannot_be_used_is_one_line(write, origin, python, text, expected):
    write(text, "broken.py")
    for factory in ("broken.py:Broken", "broken:Broken"):
        assert expected in refused(lambda f=factory: invite(origin(f, python)))


def test_a_module_that_is_not_there_has_no_source(origin, python):
    for factory in ("nothere:make", "nothere.py:make", "nothere.at.all:make"):
        line = refused(lambda f=factory: source_of(origin(f, python)))
        assert "cannot be imported" in line
        assert "nothere" in line


def test_a_file_that_is_missing_is_told_apart(broken, python):
    change = "def __init__(self): open('/no/weights.pth')"
    with pytest.raises(MissingFileError, match="/no/weights"):
        invite(broken(change, python))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("def encode(self, images): return 1 / 0", "encode failed: ZeroDivisionError"),
        ("def encode(self, images): return self.encode(images)", "encode failed: RecursionError"),
        ("def encode(self, images): raise SystemExit(2)", "encode failed: SystemExit: 2"),
        ("def encode(self, images): return [[1], [2, 3]]", "encode failed: "),
        ("def encode(self, images): return {'ids': images}", "encode failed: TypeError: a dict"),
        ("encode = None", "encode failed: TypeError"),
        (
            "def encode(self, images): return np.empty(2**50, np.int64)",
            "encode failed: MemoryError",
        ),
    ],
)
def test_a_call_that_fails_is_one_line_and_the_next_one_goes_on(broken, python, change, expected):
    guest = invite(broken(change, python))
    assert expected in refused(lambda: guest.call("encode", IMAGES))
    assert guest.alive
    assert guest.call("decode", np.zeros((2, 4), np.int64))[0].shape == (2, 3, 8, 8)


@pytest.mark.parametrize(
    ("end", "expected"),
    [
        ("os._exit(3)", "encode failed: its process ended with exit code 3"),
        ("os.kill(os.getpid(), 9)", "encode failed: its process was killed by SIGKILL"),
        ("import ctypes; ctypes.string_at(0)", "killed by SIGSEGV"),
        ("print('last words'); os._exit(1)", "exit code 1: last words"),
        ("raise KeyboardInterrupt", "its process was killed by SIGINT: KeyboardInterrupt"),
        ("[os.write(n, b'nonsense\\n') for n in range(3, 9) if is_pipe(n)]", "answers nonsense"),
        ("[os.write(n, b'{}\\n') for n in range(3, 9) if is_pipe(n)]", "answers nonsense"),
    ],
)
def test_a_process_that_ends_is_one_line_and_stays_ended(broken, end, expected):
    change = (
        f"def encode(self, images):\n"
        f"    import fcntl, os\n"
        f"    def is_pipe(n):\n"
        f"        try: return os.isatty(n) or fcntl.fcntl(n, fcntl.F_GETFL) & os.O_WRONLY\n"
        f"        except OSError: return False\n"
        f"    {end}\n"
        f"    return super().encode(images)\n"
    )
    guest = invite(broken(change, sys.executable))
    process = guest._process
    assert expected in refused(lambda: guest.call("encode", IMAGES))
    assert not guest.alive
    assert process.poll() is not None
    assert "its process ended before" in refused(lambda: guest.call("encode", IMAGES))


@pytest.mark.parametrize(
    ("python", "expected"),
    [
        ("/no/python", "tokenizer.python: /no/python: cannot be run: No such file"),
        ("no-such-python", "tokenizer.python: no-such-python: cannot be run"),
        ("/tmp", "tokenizer.python: /tmp: cannot be run: Permission denied"),
        ("/bin/true", "/bin/true: is no Python with numpy that starts: its process ended"),
        ("/bin/cat", "/bin/cat: is no Python with numpy that starts: its process answers nonsense"),
    ],
)
def test_an_interpreter_that_is_none_is_one_line(origin, python, expected):
    assert expected in refused(lambda: invite(origin(python=python)))
    assert expected in refused(lambda: source_of(origin(python=python)))


HANGING = """
import signal, time
signal.signal(signal.SIGINT, signal.SIG_IGN)
def make():
    import os
    open("pid", "w").write(str(os.getpid()))
    while True:
        time.sleep(0.01)
"""
ASKING = """
import sys
from bench.external.guest import Origin, invite
invite(Origin(factory="hanging.py:make", arguments={}, python=sys.executable, folder=sys.argv[1]))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_no_process_outlives_its_asker(write, tmp_path, number):
    write(HANGING, "hanging.py")
    asker = subprocess.Popen(
        [sys.executable, "-c", ASKING, str(tmp_path)],
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    note = tmp_path / "pid"
    within(60, lambda: note.exists() and note.read_text())
    os.kill(asker.pid, number)
    assert asker.wait(30) != 0
    within(10, lambda: not is_running(int(note.read_text())))


def within(seconds, condition):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def is_running(process):
    try:
        with open(f"/proc/{process}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_an_answer_is_never_taken_for_that_of_another_question(origin, monkeypatch):
    guest = invite(origin(python=sys.executable))
    with monkeypatch.context() as patch:
        patch.setattr(host, "receive", lambda stream: signal.raise_signal(signal.SIGINT))
        with pytest.raises(KeyboardInterrupt):
            guest.call("encode", IMAGES)
    assert not guest.alive
    assert "ended before" in refused(lambda: guest.call("decode", np.zeros((2, 4), np.int64)))
