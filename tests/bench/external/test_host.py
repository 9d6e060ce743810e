"""The frames between a tokenizer's process and ours, and what a factory may be."""

import ast
import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from bench.external import host

NUMBERS = st.one_of(
    *(arrays.integer_dtypes(), arrays.unsigned_integer_dtypes(), arrays.boolean_dtypes()),
    arrays.floating_dtypes(),
)
ANY_ARRAYS = st.lists(
    NUMBERS.flatmap(
        lambda dtype: arrays.arrays(dtype, arrays.array_shapes(min_dims=0, min_side=0))
    ),
    max_size=3,
)


def framed(message, given):
    stream = io.BytesIO()
    host.send(stream, message, given)
    return stream.getvalue()


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.text(), st.integers() | st.text() | st.none()), ANY_ARRAYS)
def test_what_is_sent_is_received(message, given):
    message.pop("arrays", None)
    received, back = host.receive(io.BytesIO(framed(message, given)))
    assert received == message
    assert [one.dtype for one in back] == [one.dtype for one in given]
    for one, other in zip(back, given, strict=True):
        np.testing.assert_array_equal(one, other)


def test_arrays_that_are_no_block_of_memory_arrive_whole():
    given = np.arange(24).reshape(4, 6)[:, ::2]
    (back,) = host.receive(io.BytesIO(framed({}, [given])))[1]
    np.testing.assert_array_equal(back, given)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_truncated_frame_is_an_end(data):
    whole = framed({"do": "call"}, [np.arange(7), np.ones((2, 3), np.float32)])
    cut = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(EOFError):
        host.receive(io.BytesIO(whole[:cut]))


@settings(max_examples=100, deadline=None)
@given(st.binary())
def test_nonsense_is_refused_whatever_it_is(content):
    with pytest.raises((ValueError, EOFError)):
        host.receive(io.BytesIO(content.replace(b"\n", b"") + b"\n"))


@pytest.mark.parametrize(
    "told",
    [
        *({"shape": [-1], "dtype": "<f4"}, {"shape": [2.0], "dtype": "<f4"}),
        *({"shape": [True], "dtype": "<f4"}, {"shape": 3, "dtype": "<f4"}),
        *({"shape": [2**30, 2**30], "dtype": "<f4"}, {"shape": [1], "dtype": "|O"}),
        *({"shape": [1], "dtype": "f4,f4"}, {"shape": [1], "dtype": "no"}),
        *({"shape": [1]}, {"dtype": "<f4"}, 3, None),
    ],
)
def test_arrays_that_cannot_be_are_refused(told):
    line = json.dumps({"arrays": [told]}).encode() + b"\n"
    with pytest.raises(ValueError):  # noqa: PT011 - one of many texts.
        host.receive(io.BytesIO(line + b"\0" * 64))


@pytest.mark.parametrize("message", ["[]", "3", '"a"', "null", "{}", "[" * 100_000])
def test_messages_that_are_none_are_refused(message):
    with pytest.raises(ValueError):  # noqa: PT011 - one of many texts.
        host.receive(io.BytesIO(message.encode() + b"\n"))


@pytest.mark.parametrize("value", [[[1], [2, 3]], ["a"], {"ids": [1]}, object(), [None]])
def test_what_is_no_array_of_numbers_is_never_sent(value):
    with pytest.raises((TypeError, ValueError)):
        host._array(value)


SERVED = """
import runpy, sys
sys.path.append({numpy!r})
sys.argv = [{host!r}]
class Closed:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "bench", "adatok_core", "pydantic", "scipy"):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Closed())
runpy.run_path({host!r}, run_name="__main__")
"""


def test_it_serves_with_numpy_alone(tmp_path, write):
    numpy = str(Path(np.__file__).parents[1])
    served = SERVED.format(numpy=numpy, host=host.__file__)
    process = subprocess.Popen(
        [sys.executable, "-S", "-I", "-c", served],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    made = {"name": "fourths:Quarters", "arguments": {"levels": 8}, "folder": str(tmp_path)}
    with process, process.stdin, process.stdout:

        def ask(*given, **message):
            host.send(process.stdin, message, [*given])
            return host.receive(process.stdout)

        assert host.receive(process.stdout)[0]["python"] == sys.version
        assert ask(do="make", device="cpu", **made)[0]["found"]["codebook_size"] == 8
        images = np.random.default_rng(0).random((5, 3, 8, 8), np.float32)
        further = {"torch": False, "device": "cpu"}
        ids, features = ask(images, do="call", method="encode", **further)[1]
        assert ids.shape == (5, 4)
        assert features.shape == (5, 4)
        (decoded,) = ask(ids, do="call", method="decode", **further)[1]
        assert abs(decoded.mean() - images.mean()) < 0.1
        assert (
            "torch" in ask(images, do="call", method="encode", torch=True, device="cpu")[0]["error"]
        )
        process.kill()


def test_it_can_be_read_by_the_pythons_of_older_environments():
    ast.parse(Path(host.__file__).read_text(), feature_version=(3, 8))


@pytest.mark.parametrize(
    "name",
    [
        *("fourths:Quarters", "fourths.py:Quarters", "fourths:Holder.Inner.make"),
        *("inner.tok:Quarters", "inner/tok.py:Quarters", "inner/tok.py:make"),
    ],
)
def test_forms_of_a_factory(tmp_path, write, name):
    text = (tmp_path / "fourths.py").read_text()
    text += "\n\ndef make(levels=16):\n    return Quarters(levels)\n"
    text += "\n\nclass Holder:\n    class Inner:\n        make = staticmethod(make)\n"
    write(text)
    write(text, "inner/tok.py")
    made = host.make(name, {"levels": 4}, str(tmp_path), "cpu")
    assert host.describe(made)["codebook_size"] == 4


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("fourths", "is not module:function"),
        (":Quarters", "is not module:function"),
        ("fourths:", "is not module:function"),
        ("fourths.py:Halves", "no attribute 'Halves'"),
        ("nothere:make", "nothere"),
        ("nothere.py:make", "no file"),
    ],
)
def test_factories_that_are_not_there(tmp_path, write, name, reason):
    with pytest.raises((ImportError, AttributeError), match=reason):
        host.make(name, {}, str(tmp_path), "cpu")


def test_a_factory_is_told_the_device_where_it_takes_one(tmp_path, write):
    write("def make(device): return device\ndef two(**more): return more\n")
    assert host.make("fourths.py:make", {}, str(tmp_path), "cuda:1") == "cuda:1"
    assert host.make("fourths.py:make", {"device": "own"}, str(tmp_path), "cpu") == "own"
    assert host.make("fourths.py:two", {}, str(tmp_path), "cpu") == {}
    assert host.make("builtins:dict", {"a": 1}, str(tmp_path), "cpu") == {"a": 1}
