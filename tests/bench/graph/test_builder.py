import hashlib
import shutil
from collections import Counter
from dataclasses import replace

import pytest
from PIL import Image

from bench.data.fingerprint import fingerprint
from bench.errors import UserError
from bench.graph.nodes import topological
from bench.graph.suite_graph import build_graph
from bench.run.planning.plan import plan_suite
from bench.stages import STAGES
from bench.store.store import Store


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


def nodes_of(graph):
    return graph.order()


def keys_of(suite, store, stage):
    """Keys of a stage's nodes by cell label and input name; evaluations under their cell."""
    graph = build_graph(suite)
    keys = {}
    for cell, evaluation in zip(suite.cells, graph.evaluations, strict=True):
        pending = [(cell.label, evaluation)]
        while pending:
            path, node = pending.pop()
            if node.stage == stage:
                keys[path] = node.spec(store).key
            pending += [(f"{path}/{name}", need) for name, need in node.inputs.items()]
    return keys


def one_arm(small, **changes):
    return {**small, "arms": [{"name": "a", "set": changes}]}


POLICY = {"candidates": [1, 2, 4]}
LATER_LENGTHS = {
    "share": 0.8,
    "rest": "candidates",
    "decodes": "one",
    "drawn": 1,
    "distillation": None,
    "self_alignment": 0.0,
    "weights": "uniform",
}
OTHER_LENGTHS = (
    {"share": 0.5},
    {"rest": "all"},
    {"decodes": "pairs"},
    {"decodes": "sandwich", "drawn": 2},
    {"decodes": "pairs", "distillation": {"of": "images", "weight": 1.0}},
    {"decodes": "pairs", "self_alignment": 1.0},
    {"weights": "policy"},
)


def test_cells_share_their_stages(load, small):
    graph = build_graph(load(small))
    counts = Counter(node.stage for node in nodes_of(graph))
    assert counts == {
        "data": 2, "tokenizer": 3, "bank": 4, "policy": 2, "png_sizes": 1, "evaluation": 6,
    }  # fmt: skip
    elastic, first, second, *_ = graph.evaluations
    assert first.inputs["bank"] is elastic.inputs["bank"]
    assert first.inputs["policy"] is not second.inputs["policy"]
    assert first.inputs["policy"].inputs["bank"] is second.inputs["policy"].inputs["bank"]
    assert len(graph.evaluations) == len(load(small).cells)


def test_targets_of_its_own_are_for_the_evaluation_bank(load, small):
    halting = {"tokenizer.encoding": "halting", "bank.own_targets": [0.1, 0.2], "policy": POLICY}
    (cell,) = build_graph(load(one_arm(small, **halting))).evaluations
    assert cell.inputs["bank"].config["own_targets"] == [0.1, 0.2]
    assert "own_targets" not in cell.inputs["policy"].inputs["bank"].config


def test_distinct_nodes_have_distinct_keys(small_run):
    specs = [node.spec(small_run.store) for node in nodes_of(small_run.graph)]
    assert len({spec.key for spec in specs}) == len(specs) == 18


def test_nodes_come_behind_what_they_need_each_once(load, small):
    order = build_graph(load(small)).order()
    place = {node: number for number, node in enumerate(order)}
    assert len(place) == len(order) == 18
    assert all(place[need] < place[node] for node in order for need in node.needs)


def test_a_chain_may_be_longer_than_pythons_stack():
    chain = {number: [number + 1] if number < 5000 else [] for number in range(5001)}
    objects = {number: [number] for number in chain}
    found = topological([objects[0]], lambda one: [objects[need] for need in chain[one[0]]])
    assert [one[0] for one in found] == list(range(5000, -1, -1))


@pytest.mark.parametrize(
    ("path", "value", "changed"),
    [
        ("data.validation", 25, {"validation"}),
        ("data.train", 49, {"train", "tokenizer"}),
        ("data.seed", 1, {"train", "validation", "tokenizer"}),
        ("training.seed", 1, {"tokenizer"}),
        ("bank.policy_images", 41, {"policy bank"}),
        ("bank.extractor_resolution", 33, {"bank"}),
        ("bank.second_extractor", True, {"bank"}),
        ("bank.policy_perceptual", True, {"policy bank"}),
        ("bank.budgets", [1, 2, 3, 4], {"policy bank", "bank"}),
        ("bank.shard", 17, {"policy bank", "bank"}),
        ("policy.seed", 1, {"policy"}),
        ("evaluation.seed", 1, set()),
        ("evaluation.kid_subset", 3, set()),
        ("evaluation.generative", True, set()),
    ],
)
def test_a_setting_changes_the_stages_it_belongs_to_and_theirs_after_them(
    load, small, store, path, value, changed
):
    def keys(**changes):
        (cell,) = build_graph(load(one_arm(small, policy=POLICY, **changes))).evaluations
        bank, policy = cell.inputs["bank"], cell.inputs["policy"]
        policy_bank = policy.inputs["bank"]
        stages = {
            "train": policy_bank.inputs["images"],
            "validation": bank.inputs["images"],
            "tokenizer": bank.inputs["tokenizer"],
            "policy bank": policy_bank,
            "bank": bank,
            "policy": policy,
            "evaluation": cell,
        }
        return {name: node.spec(store).key for name, node in stages.items()}

    after = {
        "train": {"policy bank"},
        "validation": {"bank"},
        "tokenizer": {"policy bank", "bank"},
        "policy bank": {"policy"},
        "bank": {"evaluation"},
        "policy": {"evaluation"},
    }
    expected = {*changed, "evaluation"}
    for _ in after:
        expected |= set().union(*(after.get(name, set()) for name in expected))
    before, now = keys(), keys(**{path: value})
    assert {name for name in before if before[name] != now[name]} == expected


FINETUNING = {"training": {"steps": 10, "warmup_steps": 0}}


def test_finetuning_is_a_second_tokenizer_and_the_first_is_shared(load, small, store):
    small["base"]["tokenizer"]["lora"] = {"rank": 0}
    heads = {**FINETUNING, "trainable": "heads", "lora": {"rank": 3, "alpha": 1.0}}
    arms = [
        {"name": "plain"},
        {"name": "tuned", "set": {"finetuning": heads, "policy": POLICY}},
        {"name": "other", "set": {"finetuning": FINETUNING}},
    ]
    graph = build_graph(load({**small, "arms": arms}))
    plain, tuned, other = (cell.inputs["bank"].inputs["tokenizer"] for cell in graph.evaluations)
    assert set(plain.inputs) == {"images"}
    assert tuned.inputs["start"] is other.inputs["start"] is plain
    assert tuned.inputs["images"] is plain.inputs["images"]
    assert Counter(node.stage for node in nodes_of(graph))["tokenizer"] == 3
    assert len({node.spec(store).key for node in (plain, tuned, other)}) == 3
    assert plain.config["tokenizer"]["lora"]["rank"] == 0
    assert tuned.config["tokenizer"]["lora"]["rank"] == 3
    assert tuned.config["training"]["steps"] == 10
    assert (tuned.config["trainable"], other.config["trainable"]) == ("heads", "decoder")
    # All that is measured is measured on the second one.
    evaluation = graph.evaluations[1]
    assert evaluation.inputs["policy"].inputs["bank"].inputs["tokenizer"] is tuned
    assert evaluation.inputs["tokenizer"] is tuned


@pytest.mark.parametrize(
    "changes",
    [
        {"finetuning.trainable": "heads"},
        {"finetuning.training.seed": 1},
        {"training.seed": 1},
        {"data.train": 49},
    ],
)
def test_what_finetuning_depends_on(load, small, store, changes):
    def key(**changes):
        (cell,) = build_graph(load(one_arm(small, finetuning=FINETUNING, **changes))).evaluations
        return cell.inputs["bank"].inputs["tokenizer"].spec(store).key

    assert key(**changes) != key()


def test_both_trainings_have_a_referenced_length(load, small, store):
    small["arms"][-1]["set"]["finetuning"] = FINETUNING
    evaluations = build_graph(load(small)).evaluations
    tuned = evaluations[-1].inputs["bank"].inputs["tokenizer"]
    assert tuned.spec(store) is None
    for evaluation in evaluations[1:3]:
        reached(store, evaluation, 3.0)
    for node in (tuned, tuned.inputs["start"]):
        assert node.spec(store).config["tokenizer"]["budgets"] == [3]


@pytest.mark.parametrize(
    ("kind", "extra"),
    [("latents", set()), ("quantized", {"tokenizer"}), ("pixels", {"images"})],
)
def test_a_policy_gets_what_its_input_is_read_from(load, small, kind, extra):
    settings = {"policy": {**POLICY, "input": kind}}
    (cell,) = build_graph(load(one_arm(small, **settings))).evaluations
    policy = cell.inputs["policy"]
    assert set(policy.inputs) == {"bank"} | extra
    assert set(cell.inputs) == {"bank", "policy", "tokenizer", "images", "png_sizes"}
    if kind == "pixels":  # trained on one split, judged on the other
        assert policy.inputs["images"] is policy.inputs["bank"].inputs["images"]
        assert cell.inputs["images"] is cell.inputs["bank"].inputs["images"]
        assert cell.inputs["images"] is not policy.inputs["images"]
    if kind == "quantized":
        assert policy.inputs["tokenizer"] is policy.inputs["bank"].inputs["tokenizer"]


def test_inputs_of_a_policy_share_one_bank(load, small):
    arm = {"name": "a", "set": {"policy": POLICY}, "sweep": {"policy.input": ["latents", "pixels"]}}
    first, second = build_graph(load({**small, "arms": [arm]})).evaluations
    assert first.inputs["policy"] is not second.inputs["policy"]
    assert first.inputs["policy"].inputs["bank"] is second.inputs["policy"].inputs["bank"]


def test_networks_input_size_matters_to_a_policys_bank_that_measures_by_them(load, small, store):
    def key(**changes):
        (cell,) = build_graph(load(one_arm(small, policy=POLICY, **changes))).evaluations
        return cell.inputs["policy"].inputs["bank"].spec(store).key

    perceptual = {"bank.policy_perceptual": True}
    assert key(**{"bank.extractor_resolution": 33}) == key()
    assert key(**perceptual, **{"bank.extractor_resolution": 33}) != key(**perceptual)


def test_a_raised_version_makes_new_keys(load, small, store, monkeypatch):
    suite = load(one_arm(small))
    before = {stage: keys_of(suite, store, stage) for stage in ("data", "tokenizer", "bank")}
    raised = replace(STAGES["tokenizer"], version=99)
    monkeypatch.setattr("bench.stages.declared.tokenizer.STAGE", raised)
    assert keys_of(suite, store, "data") == before["data"]
    assert keys_of(suite, store, "tokenizer") != before["tokenizer"]
    assert keys_of(suite, store, "bank") != before["bank"]


def reached(store, node, mean_tokens):
    spec = node.spec(store)
    store.work(spec.stage, spec.key).mkdir(parents=True)
    result = {"metrics": {"mean_tokens": mean_tokens}}
    about = {"config": spec.config, "inputs": spec.inputs, "resources": {}}
    store.publish(spec.stage, spec.key, {"seconds": 1.0, "result": result, **about})


def test_a_referenced_budget_is_known_once_all_its_policies_are_evaluated(load, small, store):
    evaluations = build_graph(load(small)).evaluations
    first, second, waiting = evaluations[1], evaluations[2], evaluations[-1]
    tokenizer = waiting.inputs["bank"].inputs["tokenizer"]
    assert tokenizer.budget_sources == (first, second)
    assert waiting.spec(store) is None
    reached(store, first, 2.4)
    assert tokenizer.referenced_budget(store) is None
    assert tokenizer.spec(store) is None
    reached(store, second, 3.4)
    assert tokenizer.referenced_budget(store) == 3
    assert tokenizer.spec(store).config["tokenizer"]["budgets"] == [3]
    assert tokenizer.spec(store).config["tokenizer"]["lora"]["rank"] == 0
    assert waiting.spec(store) is not None
    assert tokenizer.config["tokenizer"]["budgets"] == [4]


def test_a_tokenizer_of_the_referenced_length_is_the_same_as_one_asked_for(load, small, store):
    plain = {"name": "plain", "set": {"tokenizer.lora.rank": 0, "tokenizer.budgets": [3]}}
    evaluations = build_graph(load({**small, "arms": [*small["arms"], plain]})).evaluations
    reached(store, evaluations[1], 3.0)
    reached(store, evaluations[2], 3.0)
    assert evaluations[-1] is not evaluations[-2]
    assert evaluations[-1].spec(store).key == evaluations[-2].spec(store).key


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "images"
    root.mkdir()
    for index in range(4):
        Image.new("RGB", (8, 8), (index, 0, 0)).save(root / f"{index}.png")
    return root


def test_a_folder_is_known_by_its_content_not_by_its_path(load, small, store, folder, tmp_path):
    def data(path):
        (evaluation,) = build_graph(
            load(one_arm(small, **{"bank.policy_images": None}, data=settings(path)))
        ).evaluations
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


def test_a_policys_bank_of_a_folder_is_drawn_by_class(load, small, store, folder):
    """Of scenes it has the first images, as ever, unless a seed is given."""

    def config(split="policy/bank", **changes):
        changes = {"policy": POLICY, "bank.policy_images": None, **changes}
        (node,) = build_graph(load(one_arm(small, **changes))).evaluations
        for name in split.split("/"):
            node = node.inputs[name]
        return node.config

    of_folder = {"data": {"kind": "image_folder", "path": str(folder), "resolution": 32}}
    assert config(**of_folder)["sample"] == {"seed": 0}
    assert config(**of_folder, **{"bank.policy_seed": 3})["sample"] == {"seed": 3}
    assert config(**{"bank.policy_seed": 0})["sample"] == {"seed": 0}
    for found in (config(), config("bank", **of_folder)):
        assert not {"sample", "latents"} & {*found}
    assert [config(path, **{"bank.latents": 2})["latents"] for path in ("bank", "policy/bank")] == [
        2, 2,
    ]  # fmt: skip
    banks = [
        load(one_arm(small, **changes)).cells[0].settings["bank"]
        for changes in ({}, {"bank.latents": 0, "bank.policy_seed": 0})
    ]
    assert {*banks[1]} - {*banks[0]} == {"latents", "policy_seed"}


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
    (manifest,) = (node for node in nodes_of(graph) if node.stage == "manifest")
    splits = [node for node in nodes_of(graph) if node.stage == "data"]
    assert len(splits) == 4
    assert all(node.inputs == {"manifest": manifest} for node in splits)
    assert manifest.spec(store).config == {"fingerprint": fingerprint(folder)}
    assert manifest.spec(store).runtime == {"path": str(folder)}
    assert len({node.spec(store).key for node in splits}) == 4


def test_lengths_that_came_later_leave_no_trace_at_their_defaults(load, small, store):
    """Of the cell nor of its two trainings; each changes the keys once it is another.

    Only a round of co-design has the distribution `policy`.
    """

    def chosen(**given):
        changes = {"training": {"lengths": {"distribution": "policy", **given}}, "policy": POLICY}
        suite = load(one_arm(small, codesign=changes))
        settings, (cell,) = suite.cells[0].settings, build_graph(suite).evaluations
        tuned = cell.inputs["bank"].inputs["tokenizer"]
        found = [settings["codesign"]["training"], tuned.config["training"]]
        return [training["lengths"] for training in found], (
            suite.cells[0].key,
            tuned.spec(store).key,
        )

    def lengths_of(**given):
        changes = {"training.lengths": given, "finetuning": {"training": {"lengths": given}}}
        suite = load(one_arm(small, **changes))
        settings, (cell,) = suite.cells[0].settings, build_graph(suite).evaluations
        tuned = cell.inputs["bank"].inputs["tokenizer"]
        stages = tuned, tuned.inputs["start"]
        found = [settings[key] for key in ("training", "finetuning")]
        found[1] = found[1]["training"]
        found += [stage.config["training"] for stage in stages]
        keys = suite.cells[0].key, *(stage.spec(store).key for stage in stages)
        return [training["lengths"] for training in found], keys

    before = {"distribution": "candidates", "per": "image", "full_share": 0.0}
    lengths, keys = lengths_of()
    assert lengths == [before] * 4
    assert lengths_of(**LATER_LENGTHS) == (lengths, keys)
    policy, keys = chosen()
    assert policy == [{**before, "distribution": "policy"}] * 2
    seen = set(keys)
    for changes in OTHER_LENGTHS:
        lengths, other = chosen(**changes)
        assert all(one.items() >= changes.items() for one in lengths)
        assert not seen & set(other)
        seen |= set(other)


def test_splits_that_are_not_named_leave_no_trace(load, small, folder, store):
    def loaded(**data):
        small["base"]["data"] = {"kind": "image_folder", "path": str(folder), "resolution": 32}
        small["base"]["data"] |= data
        small["base"]["bank"]["policy_images"] = None
        suite = load(small)
        (manifest,) = (n for n in nodes_of(build_graph(suite)) if n.stage == "manifest")
        return suite.cells[0], manifest.spec(store)

    cell, manifest = loaded()
    assert not {"train_folder", "validation_folder"} & set(cell.settings["data"])
    assert manifest.runtime == {"path": str(folder)}
    named, other = loaded(train_folder=".")
    assert named.key != cell.key
    assert other.runtime == {"path": str(folder), "train_folder": "."}
    assert other.key == manifest.key  # The folder has no splits anyway.


def test_the_name_of_a_folder_may_be_had_in_another_way(load, small, folder, store):
    small["base"]["data"] = {"kind": "image_folder", "path": str(folder), "resolution": 32}
    small["base"]["bank"]["policy_images"] = None
    graph = build_graph(load(small), name_folder=lambda path, folders: f"name of {path}")
    (manifest,) = (node for node in nodes_of(graph) if node.stage == "manifest")
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


def test_weights_are_known_by_their_content(load, small, store, tmp_path):
    def bank(name):
        sha256 = hashlib.sha256((tmp_path / name).read_bytes()).hexdigest()
        weights = {
            "bank.inception_weights": str(tmp_path / name),
            "bank.inception_sha256": sha256[:8],
        }
        (evaluation,) = build_graph(load(one_arm(small, **weights))).evaluations
        given = {"inception": {"path": str(tmp_path / name), "sha256": sha256}}
        assert evaluation.runtime["weights"] == given
        assert evaluation.inputs["bank"].config["inception"] == sha256
        return evaluation.inputs["bank"].spec(store)

    for name, content in (("a", b"1"), ("b", b"1"), ("c", b"2")):
        (tmp_path / name).write_bytes(content)
    a, b, c = map(bank, "abc")
    assert a.key == b.key != c.key
    assert a.runtime["weights"]["inception"]["path"] == str(tmp_path / "a")
    (without,) = build_graph(load(one_arm(small))).evaluations
    assert without.inputs["bank"].spec(store).key not in {a.key, c.key}


def lpips(**paths):
    """Changes that name LPIPS with these files, known by their own hashes."""
    hashes = {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in paths.items()}
    return {
        "bank.extractors": ["lpips"],
        "bank.weights": {name: str(path) for name, path in paths.items()},
        "bank.weights_sha256": {name: sha256[:8] for name, sha256 in hashes.items()},
    }


def test_weight_files_of_extractors_are_known_by_their_content(load, small, store, tmp_path):
    def node(trunk, weights):
        changes = lpips(vgg16=tmp_path / trunk, lpips=tmp_path / weights)
        (evaluation,) = build_graph(load(one_arm(small, **changes))).evaluations
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


def test_settings_without_weight_files_are_what_they_were(load, small, store):
    plain, empty = (load(one_arm(small, **changes)) for changes in ({}, {"bank.weights": {}}))
    assert plain.cells[0].key == empty.cells[0].key
    assert not {"weights", "weights_sha256"} & {*plain.cells[0].settings["bank"]}
    assert "weights" not in build_graph(plain).evaluations[0].inputs["bank"].config


def test_a_weight_file_that_is_not_given_is_told_before_anything_runs(load, small, tmp_path):
    (tmp_path / "a").write_bytes(b"1")
    changes = lpips(vgg16=tmp_path / "a")
    with pytest.raises(UserError) as error:
        build_graph(load(one_arm(small, **changes)))
    assert str(error.value).endswith(
        "arm 'a': bank.weights.lpips: missing; give the path of weights-vgg16-lpips.pth (SHA-256 "
        "a78928a0...) from https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/"
        "weights-vgg16-lpips.pth"
    )
    changes = {"bank.extractors": ["dinov2"], "bank.weights": {"dinov2": str(tmp_path / "a")}}
    with pytest.raises(UserError, match=r"a begins with 6b86b273, not d5383ea8; give din"):
        build_graph(load(one_arm(small, **changes)))
    changes = {"bank.weights.dinov2": str(tmp_path / "a")}
    with pytest.raises(UserError, match=r"no extractor .* needs a weight file 'dinov2'"):
        build_graph(load(one_arm(small, **changes)))


def test_a_package_that_is_missing_is_told_before_anything_runs(load, small, monkeypatch):
    from bench.metrics import extractor

    monkeypatch.setattr(extractor, "package_versions", lambda names: {})
    with pytest.raises(UserError, match=r"stlpips-pytorch is not installed; pip install adatok-be"):
        build_graph(load(one_arm(small, **{"bank.extractors": ["stlpips"]})))


@pytest.mark.parametrize("prefix", [{}, {"bank.inception_sha256": "00000000"}])
def test_weights_with_another_hash_are_refused_before_anything_runs(load, small, tmp_path, prefix):
    path = tmp_path / "weights.pth"
    path.write_bytes(b"other weights")
    suite = load(one_arm(small, **{"bank.inception_weights": str(path)}, **prefix))
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
def test_files_that_are_missing_are_named_with_the_arm(load, small, changes):
    suite = load(one_arm(small, **changes))
    with pytest.raises(UserError, match=r"suite\.yaml: arm 'a': .*/nowhere") as error:
        build_graph(suite)
    assert "\n" not in str(error.value)


def test_stages_ask_for_what_the_suite_gives_them(load, small):
    resources = {"bank": {"cpus": 2}, "tokenizer": {"gpus": 0.25}}
    graph = build_graph(load({**small, "device": "cuda", "resources": resources}))
    asked = {node.stage: node.resources for node in nodes_of(graph)}
    assert (asked["bank"].cpus, asked["policy"].cpus) == (2, 1)
    assert (asked["tokenizer"].gpus, asked["tokenizer"].device) == (0.25, "cuda")
    assert asked["data"].device == "cpu"


def per_seed(small):
    """Two training seeds: an arm of policies, and fixed lengths that go with their own seed's."""
    seeds = {"training.seed": [0, 1]}
    policy = {"name": "policy", "set": {"policy": POLICY}, "sweep": seeds}
    budgets = {"mean_budget_of": "policy", "same": ["training.seed"]}
    fixed = {"name": "fixed", "set": {"tokenizer.budgets": budgets}, "sweep": seeds}
    return {**small, "arms": [policy, fixed]}


def test_each_seeds_length_is_that_of_its_own_policy(load, small, store):
    *policies, first, second = build_graph(load(per_seed(small))).evaluations
    reached(store, policies[0], 1.4)
    one, other = (cell.inputs["bank"].inputs["tokenizer"] for cell in (first, second))
    assert one.spec(store).config["tokenizer"]["budgets"] == [1]
    assert other.spec(store) is None
    reached(store, policies[1], 2.6)
    assert other.spec(store).config["tokenizer"]["budgets"] == [3]
    assert one.spec(store).config["training"]["seed"] == 0
    assert other.spec(store).config["training"]["seed"] == 1


def test_a_plan_shows_the_lengths_that_wait_for_their_seed(load, small, store):
    suite = load(per_seed(small))
    graph = build_graph(suite)

    def waiting():
        rows = plan_suite(suite, graph, store)
        return Counter(row["stage"] for row in rows if row["state"] == "waiting")

    assert waiting() == {"tokenizer": 2, "bank": 2, "evaluation": 2}
    reached(store, graph.evaluations[0], 1.4)
    assert waiting() == {"tokenizer": 1, "bank": 1, "evaluation": 1}
