import gzip
import pickle

import pytest

from bench.data.sources.tar import key_of, read_shard
from bench.errors import UserError


def read(path):
    with path.open("rb") as file:
        return [(sample, data) for sample, data in read_shard(path, file)]


def test_keys_end_at_the_first_dot_of_a_name():
    assert key_of("a.b/c.d.e") == ("a.b/c", "d.e")
    assert key_of("x.JPEG") == ("x", "jpeg")


def test_images_are_found_with_their_bytes_and_classes(shard):
    members = {
        "./x/1.jpg": b"one" * 300,
        "x/1.cls": b" 7\n",
        "x/2.cls": b"cat",
        "x/2.PNG": b"two",
        "x/2.json": b"{}",
        "x/2.seg.png": b"passed over",
        "x/._2.png": b"hidden",
    }
    path = shard(members)
    found = read(path)
    assert [(one.key, one.name, one.label, data) for one, data in found] == [
        ("x/1", "x/1.jpg", "7", b"one" * 300),
        ("x/2", "x/2.PNG", "cat", b"two"),
    ]
    bytes_of = path.read_bytes()
    assert all(bytes_of[one.offset : one.offset + one.size] == data for one, data in found)


WHOLE = {"1.png": b"one" * 1000, "1.cls": b"0", "2.png": b"two" * 1000, "2.cls": b"1"}


def cut(at):
    return lambda data: data[:at]


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (cut(2000), "truncated"),
        (cut(512 + 3072), "truncated at byte 3584"),
        (lambda data: data[:4608] + b"\7" * 512 + data[5120:], "damaged at byte 4608"),
        (gzip.compress, "compressed .gzip."),
        (lambda data: b"no tar" * 200, "truncated or damaged"),
        (cut(0), "truncated"),
        (lambda data: data + data, "has more behind its end at byte 9216"),
        (lambda data: data[:4608] + bytes(512) + data[5120:], "more behind its end at byte 4608"),
    ],
)
def test_a_damaged_shard_is_one_line(shard, damage, words):
    path = shard(WHOLE)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(UserError, match=words) as error:
        read(path)
    assert str(path) in str(error.value)


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"1.jpg": b"", "1.png": b""}, "key '1' has two images, 1.jpg and 1.png"),
        ({"1.jpg": b"", "1.cls": b"0", "2.jpg": b""}, "1 of 2 images have no .cls, such as 2.jpg"),
        ({"1.cls": b"0"}, "key '1' has a .cls, but no image"),
        ({"1.jpg": b"", "1.cls": pickle.dumps(3)}, "1.cls is no class"),
        ({"1.jpg": b"", "1.cls": b"x" * 300}, "1.cls is no class"),
        ({"\udce9.jpg": b""}, "is not UTF-8"),
    ],
)
def test_members_that_do_not_fit_are_one_line(shard, members, words):
    with pytest.raises(UserError, match=words):
        read(shard(members))


def test_a_key_that_comes_twice_is_one_line(shard, tmp_path):
    first, second = shard({"1.jpg": b"a"}), shard({"1.jpg": b"b"}, "b.tar")
    both = first.read_bytes()[:1024] + second.read_bytes()
    first.write_bytes(both)
    with pytest.raises(UserError, match="key '1' has two images"):
        read(first)
