import shutil

from bench.data.fingerprint import fingerprint
from bench.graph.suite_graph import build_graph

POLICY = {"candidates": [1, 2, 4]}


def test_a_folder_is_known_by_its_content_not_by_its_path(store, folder, tmp_path, evaluation_of):
    def data(path):
        evaluation = evaluation_of(**{"bank.policy_images": None}, data=settings(path))
        return evaluation.inputs["bank"].inputs["images"].spec(store)

    def settings(path):
        return {"kind": "image_folder", "path": str(path), "resolution": 32}

    copy = shutil.copytree(folder, tmp_path / "copy")
    here, there = data(folder), data(copy)
    assert here.key == there.key
    assert (here.runtime, there.runtime) == ({"path": str(folder)}, {"path": str(copy)})
    assert "path" not in here.config
    (copy / "0.png").unlink()
    assert data(copy).key != here.key


def test_a_policys_bank_of_a_folder_is_drawn_by_class(folder, evaluation_of, suite_of):
    """Of scenes it has the first images, as ever, unless a seed is given."""

    def config(split="policy/bank", **changes):
        node = evaluation_of(**{"policy": POLICY, "bank.policy_images": None, **changes})
        for name in split.split("/"):
            node = node.inputs[name]
        return node.config

    of_folder = {"data": {"kind": "image_folder", "path": str(folder), "resolution": 32}}
    assert config(**of_folder)["sample"] == {"seed": 0}
    assert config(**of_folder, **{"bank.policy_seed": 3})["sample"] == {"seed": 3}
    assert config(**{"bank.policy_seed": 0})["sample"] == {"seed": 0}
    for found in (config(), config("bank", **of_folder)):
        assert not {"sample", "latents"} & {*found}
    for split in ("bank", "policy/bank"):
        assert config(split, **{"bank.latents": 2})["latents"] == 2
    plain, pooled = (
        suite_of(**changes).cells[0].settings["bank"]
        for changes in ({}, {"bank.latents": 0, "bank.policy_seed": 0})
    )
    assert {*pooled} - {*plain} == {"latents", "policy_seed"}


def test_all_splits_of_a_folder_share_one_manifest(load, small, store, folder):
    arms = [
        {"name": name, "set": {"data": {**data, "path": str(folder)}}}
        for name, data in (
            ("a", {"kind": "image_folder", "resolution": 32}),
            ("b", {"kind": "image_folder", "resolution": 64, "validation_fraction": 0.5}),
        )
    ]
    small["base"]["bank"]["policy_images"] = None
    graph = build_graph(load({**small, "arms": arms}))
    (manifest,) = (node for node in graph.order() if node.stage == "manifest")
    splits = [node for node in graph.order() if node.stage == "data"]
    assert len(splits) == 4
    assert all(node.inputs == {"manifest": manifest} for node in splits)
    assert manifest.spec(store).config == {"fingerprint": fingerprint(folder)}
    assert manifest.spec(store).runtime == {"path": str(folder)}
    assert len({node.spec(store).key for node in splits}) == 4


def test_splits_that_are_not_named_leave_no_trace(load, small, folder, store):
    def loaded(**data):
        small["base"]["data"] = {"kind": "image_folder", "path": str(folder), "resolution": 32}
        small["base"]["data"] |= data
        small["base"]["bank"]["policy_images"] = None
        suite = load(small)
        (manifest,) = (n for n in build_graph(suite).order() if n.stage == "manifest")
        return suite.cells[0], manifest.spec(store)

    cell, manifest = loaded()
    assert not {"train_folder", "validation_folder"} & set(cell.settings["data"])
    assert manifest.runtime == {"path": str(folder)}
    named, other = loaded(train_folder=".")
    assert named.key != cell.key
    assert other.runtime == {"path": str(folder), "train_folder": "."}
    assert other.key == manifest.key  # The folder has no splits anyway.


def test_the_name_of_a_folder_may_be_had_in_another_way(load, small, folder):
    small["base"]["data"] = {"kind": "image_folder", "path": str(folder), "resolution": 32}
    small["base"]["bank"]["policy_images"] = None
    graph = build_graph(load(small), name_folder=lambda path, folders: f"name of {path}")
    (manifest,) = (node for node in graph.order() if node.stage == "manifest")
    assert manifest.config == {"fingerprint": f"name of {folder}"}


def test_a_folder_is_read_once_for_all_cells(load, small, folder, monkeypatch):
    read = []

    def counted(path, folders):
        read.append(path)
        return "f"

    monkeypatch.setattr("bench.graph.suite_graph.fingerprint", counted)
    data = {"kind": "image_folder", "path": str(folder), "resolution": 32}
    small["base"]["data"] = data
    small["base"]["bank"]["policy_images"] = None
    assert len(build_graph(load(small)).evaluations) == 6
    assert read == [str(folder)]
