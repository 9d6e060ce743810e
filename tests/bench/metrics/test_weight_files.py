import hashlib

import pytest

from bench.errors import UserError
from bench.metrics.weight_files import (
    WeightFile,
    Weights,
    checked_sha256,
    find_weights,
    weights_of_runtime,
    weights_to_runtime,
)

CONTENT = b"weights"
SHA256 = hashlib.sha256(CONTENT).hexdigest()
ONE = Weights(name="one", file="one.pth", sha256=SHA256[:8], source="https://one.example/one.pth")
ANY = Weights(name="any", file="any.pth", source="its author")


@pytest.fixture
def path(tmp_path):
    (tmp_path / "w.pth").write_bytes(CONTENT)
    return str(tmp_path / "w.pth")


def refusal(*arguments):
    with pytest.raises(UserError) as error:
        find_weights(*arguments)
    return str(error.value)


def test_files_are_found_by_name_with_their_hash(path):
    found = find_weights([ONE, ANY, ONE], {"any": path, "one": path}, {})
    assert found == {"one": WeightFile(path, SHA256), "any": WeightFile(path, SHA256)}
    assert weights_of_runtime(weights_to_runtime(found)) == found
    assert weights_of_runtime({}) == find_weights([], {}, {}) == {}


def test_a_file_that_is_not_given_is_named_with_its_hash_and_origin():
    assert refusal([ONE], {}, {}) == (
        f"bank.weights.one: missing; give the path of one.pth (SHA-256 {SHA256[:8]}...) from "
        "https://one.example/one.pth"
    )
    assert refusal([ANY], {}, {}) == (
        "bank.weights.any: missing; give the path of any.pth from its author"
    )


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    said = refusal([ONE], {"one": str(tmp_path / "none.pth")}, {})
    assert said.startswith(f"bank.weights.one: cannot read {tmp_path}/none.pth: No such file or di")
    assert said.endswith(f"one.pth (SHA-256 {SHA256[:8]}...) from https://one.example/one.pth")


def test_another_file_is_refused_unless_its_hash_is_given(path):
    other = {"one": "00000000"}
    assert refusal([ONE], {"one": path}, other) == (
        f"bank.weights.one: the SHA-256 of {path} begins with {SHA256[:8]}, not 00000000; give "
        f"one.pth (SHA-256 {SHA256[:8]}...) from https://one.example/one.pth, or set "
        "bank.weights_sha256.one"
    )
    published = Weights(name="one", file="one.pth", sha256="00000000", source="there")
    assert find_weights([published], {"one": path}, {"one": SHA256[:9]})["one"].sha256 == SHA256
    with pytest.raises(UserError, match="begins with"):
        checked_sha256(ONE, WeightFile(path, SHA256[:-1] + "x"))


def test_names_that_nothing_needs_are_refused(path):
    assert refusal([ONE], {"one": path, "oen": path}, {}) == (
        "bank.weights: no extractor of bank.extractors needs a weight file 'oen'; did you mean "
        "'one'?"
    )
    assert refusal([], {}, {"one": SHA256}) == (
        "bank.weights_sha256: no extractor of bank.extractors needs a weight file 'one'; remove "
        "it, or name its extractor"
    )


def test_one_name_cannot_mean_two_files(path):
    other = Weights(name="one", file="other.pth", source="elsewhere")
    assert refusal([ONE, other], {"one": path}, {}) == (
        "bank.weights.one: extractors of this bank need both other.pth and one.pth under this "
        "name; take one of them away"
    )
