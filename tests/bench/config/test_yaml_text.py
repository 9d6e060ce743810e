"""YAML of others: limits before anything is built, one line with file and key for all the rest."""

import itertools
import os
import re

import pytest

from bench.config.yaml_text import MOST_BYTES, plain_yaml, read_yaml
from bench.errors import UserError

LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJ"


def unreadable(path):
    with pytest.raises(UserError) as error:
        read_yaml(path)
    message = str(error.value)
    assert "\n" not in message
    assert message.startswith(f"{path}: ")
    return message


def test_reads_a_mapping_with_anchors(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("a: &a {x: 1, y: 2}\nb:\n  <<: *a\n  y: 3\nc: *a\n")
    assert read_yaml(path) == {"a": {"x": 1, "y": 2}, "b": {"x": 1, "y": 3}, "c": {"x": 1, "y": 2}}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1\nb: 2\na: 3\n", "key 'a' is given twice .*line 3"),
        ("x:\n  - {a: 1, a: 2}\n", "key 'a' is given twice .*line 2"),
        ("a: {{ template }}\n", "a key must be plain text .*line 1"),
        ("? [1, 2]\n: x\n", "a key must be plain text"),
        ("a: [\n", "not valid YAML"),
        ("a: !!python/object/apply:os.getcwd []\n", "a: YAML reads this as 'python/object"),
        ("- 1\n", "expected keys and values"),
        ("just text\n", "expected keys and values"),
        ("", "expected keys and values"),
    ],
)
def test_what_is_not_a_mapping_of_unique_keys_is_refused(tmp_path, text, expected):
    path = tmp_path / "a.yaml"
    path.write_text(text)
    assert re.search(expected, unreadable(path))


def test_files_that_cannot_be_read_are_named(tmp_path):
    assert "No such file" in unreadable(tmp_path / "nowhere.yaml")
    assert "not a regular file" in unreadable(tmp_path)
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"a: \xff")
    assert "not UTF-8" in unreadable(binary)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("question: 2026-13-45\n", "question: YAML reads this as 'timestamp'"),
        ("a: {b: [1, 2026-01-01]}\n", "a.b.1: YAML reads this as 'timestamp'"),
        ("a: !!binary x\n", "a: YAML reads this as 'binary'"),
        ("a: {b: !!set {x}}\n", "a.b: YAML reads this as 'set'"),
        ("a: !!int x\n", "a: 'x' cannot be read as 'int'"),
        (f"a: {'9' * 5000}\n", "a: '9+ .*9' cannot be read"),
        ("a: 12:30:00\n", "a: YAML reads 12:30:00 as 45000"),
        ("a: 010\n", "a: YAML reads 010 as 8"),
        ("a: {yes: 1}\n", "a: a key must be plain text"),
        ("a: {<<: 3}\n", "a.<<: only mappings"),
        ("a: &x [*x]\n", r"a: \*x stands inside"),
        ("a: *x\n", "undefined alias"),
        ("a: \x00\n", "not valid YAML"),
        ("a: 1\n---\nb: 2\n", "single document"),
        (f"a: 1\nb: {'[' * 2000}", "b: nested deeper than 64"),
        (
            "a: &a {k: {k: 1}}\n"
            + "".join(f"{b}: &{b} {{k: {{k: *{a}}}}}\n" for a, b in itertools.pairwise(LETTERS)),
            "nested deeper than 64",
        ),
        (
            "a: &a [1, 1, 1, 1, 1, 1, 1, 1]\n"
            + "".join(
                f"{b}: &{b} [*{a}, *{a}, *{a}, *{a}, *{a}, *{a}]\n"
                for a, b in itertools.pairwise(LETTERS)
            ),
            "g: more than 100000 values",
        ),
        ("a: [" + "1," * 100_001 + "]", "a: more than 100000 values"),
        ("# " + "x" * MOST_BYTES, "larger than"),
    ],
)
def test_every_other_text_is_refused_by_key(tmp_path, text, expected):
    path = tmp_path / "a.yaml"
    path.write_text(text)
    assert re.search(expected, unreadable(path))


def test_other_encodings(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("a: é\n", "utf-8-sig")
    assert read_yaml(path) == {"a": "é"}
    path.write_text("a: é\n", "utf-16")
    assert "not UTF-8" in unreadable(path)


def test_pipes_are_not_opened(tmp_path):
    os.mkfifo(tmp_path / "a.yaml")
    assert "not a regular file" in unreadable(tmp_path / "a.yaml")


def test_aliases_share_nothing_and_numbers_are_texts_as_keys():
    values = plain_yaml("{a: &x {1: 0.5}, b: *x}", where="here")
    assert values == {"a": {"1": 0.5}, "b": {"1": 0.5}}
    assert values["a"] is not values["b"]
