import hashlib

import pytest

from bench.errors import UserError
from bench.graph.suite_graph import build_graph


def test_weights_are_known_by_their_content(store, tmp_path, evaluation_of):
    def bank(name):
        sha256 = hashlib.sha256((tmp_path / name).read_bytes()).hexdigest()
        weights = {
            "bank.inception_weights": str(tmp_path / name),
            "bank.inception_sha256": sha256[:8],
        }
        evaluation = evaluation_of(**weights)
        given = {"inception": {"path": str(tmp_path / name), "sha256": sha256}}
        assert evaluation.runtime["weights"] == given
        assert evaluation.inputs["bank"].config["inception"] == sha256
        return evaluation.inputs["bank"].spec(store)

    for name, content in (("a", b"1"), ("b", b"1"), ("c", b"2")):
        (tmp_path / name).write_bytes(content)
    a, b, c = map(bank, "abc")
    assert a.key == b.key != c.key
    assert a.runtime["weights"]["inception"]["path"] == str(tmp_path / "a")
    without = evaluation_of()
    assert without.inputs["bank"].spec(store).key not in {a.key, c.key}


def lpips(**paths):
    """Changes that name LPIPS with these files, known by their own hashes."""
    hashes = {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in paths.items()}
    return {
        "bank.extractors": ["lpips"],
        "bank.weights": {name: str(path) for name, path in paths.items()},
        "bank.weights_sha256": {name: sha256[:8] for name, sha256 in hashes.items()},
    }


def test_weight_files_of_extractors_are_known_by_their_content(store, tmp_path, evaluation_of):
    def node(trunk, weights):
        changes = lpips(vgg16=tmp_path / trunk, lpips=tmp_path / weights)
        evaluation = evaluation_of(**changes)
        bank = evaluation.inputs["bank"]
        assert evaluation.runtime == bank.runtime
        assert bank.runtime["weights"]["lpips"]["path"] == str(tmp_path / weights)
        assert bank.config["weights"] == {
            name: given["sha256"] for name, given in bank.runtime["weights"].items()
        }
        return bank.spec(store).key

    for name, content in (("a", b"1"), ("b", b"1"), ("c", b"2")):
        (tmp_path / name).write_bytes(content)
    assert node("a", "b") == node("b", "a") == node("a", "a")
    assert len({node("a", "a"), node("a", "c"), node("c", "a")}) == 3


def test_a_training_whose_loss_needs_weights_is_known_by_them(store, tmp_path, evaluation_of):
    def tokenizer(content, **changes):
        (tmp_path / "vgg16").write_bytes(b"1")
        (tmp_path / "lpips").write_bytes(content)
        given = lpips(vgg16=tmp_path / "vgg16", lpips=tmp_path / "lpips")
        node = evaluation_of(**given, **changes).inputs["bank"].inputs["tokenizer"]
        return node, node.spec(store).key

    on_lpips = {"training.perceptual": 0.5, "training.perceptual_network": "lpips"}
    node, key = tokenizer(b"1", **on_lpips)
    assert node.config["weights"] == {
        name: given["sha256"] for name, given in node.runtime["weights"].items()
    }
    assert tokenizer(b"1", **on_lpips)[1] == key != tokenizer(b"2", **on_lpips)[1]
    plain, key = tokenizer(b"1", **{"training.perceptual": 0.5})
    assert not {"weights"} & {*plain.config, *plain.runtime}
    assert tokenizer(b"2", **{"training.perceptual": 0.5})[1] == key
    goes_on, _ = tokenizer(b"1", **on_lpips, codesign={"training": {"steps": 3, "warmup_steps": 1}})
    assert "weights" in goes_on.inputs["start"].config
    assert not {"weights"} & {*goes_on.config, *goes_on.runtime}


def test_a_network_that_measures_no_distance_gives_no_loss(tmp_path, evaluation_of):
    changes = {"training.perceptual": 0.5, "training.perceptual_network": "stlpips"}
    node = evaluation_of(**changes, **{"bank.extractors": ["stlpips"]}).inputs["bank"]
    assert "weights" not in node.inputs["tokenizer"].config
    (tmp_path / "a").write_bytes(b"1")
    weights = {"bank.weights.dinov2": str(tmp_path / "a"), "bank.weights_sha256.dinov2": "6b86b273"}
    changes = {**weights, "training.perceptual": 0.5, "training.perceptual_network": "dinov2"}
    with pytest.raises(UserError, match=r"dinov2 measures no .*; choose from lite0, lpips, stlpi"):
        evaluation_of(**changes, **{"bank.extractors": ["dinov2"]})
    again = {"codesign": {"training": {"perceptual": 1.0, "perceptual_network": "dinov2"}}}
    with pytest.raises(UserError, match=r"codesign\.training\.perceptual_network: dinov2 meas"):
        evaluation_of(**weights, **again, **{"bank.extractors": ["dinov2"]})


def test_settings_without_weight_files_are_what_they_were(suite_of):
    plain, empty = suite_of(), suite_of(**{"bank.weights": {}})
    assert plain.cells[0].key == empty.cells[0].key
    assert not {"weights", "weights_sha256"} & {*plain.cells[0].settings["bank"]}
    assert "weights" not in build_graph(plain).evaluations[0].inputs["bank"].config


def test_a_weight_file_that_is_not_given_is_told_before_anything_runs(tmp_path, suite_of):
    (tmp_path / "a").write_bytes(b"1")
    changes = lpips(vgg16=tmp_path / "a")
    with pytest.raises(UserError) as error:
        build_graph(suite_of(**changes))
    assert str(error.value).endswith(
        "arm 'a': bank.weights.lpips: missing; give the path of weights-vgg16-lpips.pth (SHA-256 "
        "a78928a0...) from https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/"
        "weights-vgg16-lpips.pth"
    )
    changes = {"bank.extractors": ["dinov2"], "bank.weights": {"dinov2": str(tmp_path / "a")}}
    with pytest.raises(UserError, match=r"a begins with 6b86b273, not d5383ea8; give din"):
        build_graph(suite_of(**changes))
    changes = {"bank.weights.dinov2": str(tmp_path / "a")}
    with pytest.raises(UserError, match=r"no extractor .* needs a weight file 'dinov2'"):
        build_graph(suite_of(**changes))


def test_a_package_that_is_missing_is_told_before_anything_runs(monkeypatch, suite_of):
    from bench.metrics import extractor

    monkeypatch.setattr(extractor, "package_versions", lambda names: {})
    with pytest.raises(UserError, match=r"stlpips-pytorch is not installed; pip install adatok-be"):
        build_graph(suite_of(**{"bank.extractors": ["stlpips"]}))


@pytest.mark.parametrize("prefix", [{}, {"bank.inception_sha256": "00000000"}])
def test_weights_with_another_hash_are_refused_before_anything_runs(tmp_path, prefix, suite_of):
    path = tmp_path / "weights.pth"
    path.write_bytes(b"other weights")
    suite = suite_of(**{"bank.inception_weights": str(path)}, **prefix)
    sha256 = hashlib.sha256(b"other weights").hexdigest()
    wanted = prefix.get("bank.inception_sha256", "6726825d")
    with pytest.raises(UserError) as error:
        build_graph(suite)
    said = str(error.value)
    assert "arm 'a': bank.inception_weights: " in said
    assert said.endswith("or set bank.inception_sha256")
    assert f"{path} begins with {sha256[:8]}, not {wanted}; " in said
    assert "\n" not in said


@pytest.mark.parametrize(
    "changes",
    [
        {"bank.inception_weights": "/nowhere/weights.pth"},
        {
            "data": {"kind": "image_folder", "path": "/nowhere", "resolution": 32},
            "bank.policy_images": None,
        },
    ],
)
def test_files_that_are_missing_are_named_with_the_arm(changes, suite_of):
    suite = suite_of(**changes)
    with pytest.raises(UserError, match=r"suite\.yaml: arm 'a': .*/nowhere") as error:
        build_graph(suite)
    assert "\n" not in str(error.value)
