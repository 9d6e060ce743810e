import re

import pytest

from bench.store.stage import Resources
from bench.suite.loading import load_suite


def with_arms(small, *arms):
    return {**small, "arms": list(arms)}


def test_cells_are_the_product_of_an_arms_sweep_in_the_files_order(load, small):
    arm = {
        "name": "a",
        "sweep": {"training.seed": [1, 0], "tokenizer.lora.rank": [2, 0, 1]},
    }
    suite = load(with_arms(small, arm, {"name": "b", "set": {"training.seed": 7}}))
    assert [(c.config.training.seed, c.config.tokenizer.lora.rank) for c in suite.cells] == [
        *[(1, 2), (1, 0), (1, 1), (0, 2), (0, 0), (0, 1)],
        (7, 2),
    ]
    assert [c.arm for c in suite.cells] == ["a"] * 6 + ["b"]
    assert suite.cells[1].swept == {"training.seed": 1, "tokenizer.lora.rank": 0}
    assert suite.cells[-1].swept == {}


def test_set_overrides_the_base_and_sweep_overrides_set(load, small):
    arm = {
        "name": "a",
        "set": {"training.steps": 6, "training.seed": 5},
        "sweep": {"training.seed": [6]},
    }
    (cell,) = load(with_arms(small, arm)).cells
    assert (cell.config.training.steps, cell.config.training.seed) == (6, 6)
    assert cell.config.training.batch == small["base"]["training"]["batch"]


def test_a_mapping_replaces_what_was_there(load, small):
    arm = {"name": "a", "set": {"tokenizer.lora": {"rank": 1}}}
    (cell,) = load(with_arms(small, arm)).cells
    assert (cell.config.tokenizer.lora.rank, cell.config.tokenizer.lora.alpha) == (1, 16.0)


def test_paths_make_the_mappings_they_lead_through(load, small):
    arm = {
        "name": "a",
        "set": {"policy.weighting.kind": "fixed", "policy.candidates": [1, 4]},
        "sweep": {"policy.weighting.efficiency": [0.2, 0.3]},
    }
    cells = load(with_arms(small, arm)).cells
    assert [cell.config.policy.weighting.efficiency for cell in cells] == [0.2, 0.3]


def test_arms_and_cells_do_not_leak_into_each_other(load, small):
    value = {"rank": 2, "alpha": 1.0}
    arm = {
        "name": "a",
        "set": {"tokenizer.lora": value},
        "sweep": {"tokenizer.lora.rank": [1, 3]},
    }
    suite = load(with_arms(small, arm, {"name": "b"}))
    assert [cell.config.tokenizer.lora.rank for cell in suite.cells] == [1, 3, 2]


def test_a_swept_mapping_stays_what_it_is(load, small):
    arm = {
        "name": "a",
        "set": {"policy.candidates": [1, 4]},
        "sweep": {
            "policy.weighting": [{"kind": "fixed"}],
            "policy.weighting.efficiency": [0.2, 0.3],
        },
    }
    cells = load(with_arms(small, arm)).cells
    assert [cell.swept["policy.weighting"] for cell in cells] == [{"kind": "fixed"}] * 2
    assert [cell.config.policy.weighting.efficiency for cell in cells] == [0.2, 0.3]


def test_a_path_through_a_value_is_refused(refusal, small):
    arm = {"name": "a", "set": {"training.steps.many": 3}}
    assert refusal(with_arms(small, arm)) == (
        "arm 'a': training.steps.many: 'steps' is a value and holds no keys"
    )


def test_an_empty_list_of_values_is_refused(refusal, small):
    arm = {"name": "a", "sweep": {"training.seed": []}}
    assert refusal(with_arms(small, arm)) == "arm 'a': sweep: a list of values is empty"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"policy.candidates": [1, 8]}, r"policy\.candidates: \[8\] are not among .*\[1, 2, 4\]"),
        ({"tokenizer.patch_size": 5}, r"tokenizer\.patch_size: 5 must divide the 32 px images"),
        ({"tokenizer.budgets": [2, 2]}, r"tokenizer: budgets: \[2, 2\] must increase"),
        ({"tokenizer.budgets": []}, r"tokenizer: budgets: needs 1 or more budgets"),
        ({"tokenizer.lora.rnak": 1}, r"tokenizer\.lora\.rnak: unknown key; did you mean 'rank'"),
        ({"bank.policy_images": 49}, r"bank\.policy_images: 49 exceeds the 48 training images"),
        (
            {"policy": {"candidates": [1, 4], "weighting": {"kind": "constraint"}}},
            r"policy\.weighting: mean_budget, quality_drop: give exactly one",
        ),
        (
            {
                "policy.candidates": [1, 2],
                "policy.weighting": {"kind": "constraint", "mean_budget": 3},
            },
            r"policy: weighting\.mean_budget: 3\.0 lies outside the candidates 1\.\.2",
        ),
    ],
)
def test_settings_that_contradict_each_other_name_the_arm(refusal, small, changes, expected):
    message = refusal(with_arms(small, {"name": "fine"}, {"name": "odd", "set": changes}))
    assert re.match(f"arm 'odd': {expected}", message), message


def test_twin_cells_are_refused(refusal, small):
    message = refusal(with_arms(small, {"name": "a"}, {"name": "b", "set": {"training.seed": 0}}))
    assert message == "'a' and 'b' are the same cell; remove one"
    message = refusal(with_arms(small, {"name": "a", "sweep": {"training.steps": [6, 7, 6]}}))
    assert "'a: steps 6' and 'a: steps 6' are the same cell" in message


def test_duplicate_arms_are_refused(refusal, small):
    message = refusal(with_arms(small, {"name": "a"}, {"name": "a", "set": {"training.seed": 1}}))
    assert message == "arms: 'a' is given twice; rename one"


def test_key_is_of_the_settings_whatever_their_order_and_notation(load, small):
    (cell,) = load(with_arms(small, {"name": "a"})).cells
    base = {name: dict(reversed(part.items())) for name, part in reversed(small["base"].items())}
    arms = {"name": "renamed", "set": {"tokenizer.lora.alpha": 1, "training.pixel_loss": "l2"}}
    (same,) = load(dict(reversed(with_arms({**small, "base": base}, arms).items()))).cells
    assert same.key == cell.key
    assert re.fullmatch("[0-9a-f]{16}", cell.key)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("data.seed", 1),
        ("data.validation", 25),
        ("tokenizer.width", 32),
        ("tokenizer.quantizer.levels", [5, 6]),
        ("tokenizer.budgets", [1, 4]),
        ("training.seed", 1),
        ("training.precision", "bf16"),
        ("bank.extractor_resolution", 64),
        ("bank.policy_images", None),
        ("policy", {"candidates": [1, 4]}),
        ("evaluation.seed", 1),
    ],
)
def test_key_changes_with_any_setting(load, small, path, value):
    (cell,) = load(with_arms(small, {"name": "a"})).cells
    (other,) = load(with_arms(small, {"name": "a", "set": {path: value}})).cells
    assert other.key != cell.key


def test_labels_name_what_is_swept_and_groups_leave_out_seeds(load, small):
    arm = {
        "name": "policy",
        "set": {"policy.candidates": [1, 2, 4]},
        "sweep": {
            "policy.weighting": [{"kind": "fixed", "efficiency": 0.25}],
            "policy.seed": [3, 4],
        },
    }
    cells = load(with_arms(small, {"name": "elastic"}, arm)).cells
    assert [cell.label for cell in cells] == [
        "elastic",
        "policy: fixed efficiency 0.25, seed 3",
        "policy: fixed efficiency 0.25, seed 4",
    ]
    assert {cell.group for cell in cells[1:]} == {"policy: fixed efficiency 0.25"}
    assert cells[0].group == "elastic"


def test_the_suites_own_settings(load, small):
    suite = load({**small, "reports": ["summary"]})
    assert suite.name == "small"
    assert suite.question == "Does letting the image choose beat not letting it?"
    assert suite.reports == ("summary",)
    assert load(small).reports == ()


def test_what_trains_decodes_or_times_uses_the_device(load, small):
    assert set(load(small).resources.values()) == {Resources(cpus=1, gpus=0.0, device="cpu")}
    asked = {"tokenizer": {"cpus": 2, "gpus": 0.5}, "policy": {"cpus": 3}}
    assert load({**small, "device": "cuda", "resources": asked}).resources == {
        "manifest": Resources(1, 0.0, "cpu"),
        "data": Resources(1, 0.0, "cpu"),
        "tokenizer": Resources(2, 0.5, "cuda"),
        "bank": Resources(1, 1.0, "cuda"),
        "lengths": Resources(1, 1.0, "cuda"),
        "policy": Resources(3, 0.0, "cpu"),
        "png_sizes": Resources(1, 0.0, "cpu"),
        "evaluation": Resources(1, 1.0, "cuda"),
        "generator": Resources(1, 1.0, "cuda"),
        "samples": Resources(1, 1.0, "cuda"),
        "perturbed": Resources(1, 1.0, "cuda"),
        "prefix_cosine": Resources(1, 1.0, "cuda"),
        "code_histograms": Resources(1, 0.0, "cpu"),
        "throughput": Resources(1, 1.0, "cuda"),
        "external": Resources(1, 1.0, "cuda"),
        "reconstructions": Resources(1, 0.0, "cpu"),
    }


@pytest.mark.parametrize(("device", "stage"), [("cpu", "tokenizer"), ("cuda", "policy")])
def test_a_share_of_a_gpu_that_is_not_used_is_refused(refusal, small, device, stage):
    content = {**small, "device": device, "resources": {stage: {"gpus": 0.5}}}
    assert refusal(content).startswith(f"resources.{stage}.gpus: ")


@pytest.mark.parametrize(
    ("device", "asked", "expected"),
    [
        ("cuda", {"gpus": 8, "cpus": 16}, Resources(16, 8, "cuda", 8)),
        ("cuda", {"gpus": 2, "ranks": 2}, Resources(1, 2, "cuda", 2)),
        ("cuda", {"gpus": 0.5, "ranks": 1}, Resources(1, 0.5, "cuda")),
        ("cpu", {"cpus": 4, "ranks": 2}, Resources(4, 0.0, "cpu", 2)),
        ("cpu", {"memory_gb": 2.5}, Resources(memory_gb=2.5)),
        ("cuda", {"memory_gb": 40}, Resources(1, 1.0, "cuda", 1, 40.0)),
    ],
)
def test_a_training_gets_a_rank_for_each_gpu_and_the_memory_it_asks_for(
    load, small, device, asked, expected
):
    suite = load({**small, "device": device, "resources": {"tokenizer": asked}})
    assert suite.resources["tokenizer"] == expected


@pytest.mark.parametrize(
    ("device", "stage", "asked", "problem"),
    [
        ("cuda", "evaluation", {"gpus": 2}, ".gpus: only bank, generator, tokenizer share their "),
        ("cpu", "policy", {"ranks": 2, "cpus": 2}, ".ranks: only bank, generator, tokenizer share"),
        ("cpu", "tokenizer", {"ranks": 2}, ".ranks: 2 need as many cpus, not 1; raise cpus"),
        ("cuda", "tokenizer", {"ranks": 2}, ".ranks: 2 on 1 GPU, but each has one of its own; "),
        ("cuda", "generator", {"gpus": 1.5}, ": gpus: 1.5 must be whole above 1"),
        ("cpu", "tokenizer", {"ranks": 0}, ": ranks: must be 1 or more"),
        ("cpu", "policy", {"memory_gb": 0}, ": memory_gb: must be positive"),
    ],
)
def test_ranks_and_gpus_that_would_lie_idle_and_no_memory_are_refused(
    refusal, small, device, stage, asked, problem
):
    content = {**small, "device": device, "resources": {stage: asked}}
    assert refusal(content).startswith(f"resources.{stage}{problem}")


def test_a_batch_that_ranks_cannot_share_is_refused(refusal, small):
    content = {**small, "resources": {"tokenizer": {"cpus": 3, "ranks": 3}}}
    assert "training.batch: 8 cannot be shared out to 3 ranks; make it" in refusal(content)


def test_a_suite_without_cells_is_refused(refusal, small):
    assert refusal(with_arms(small)) == "arms: a suite needs at least one"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("x" * 201, "longer than 200 letters"),
        (" ", "letters that can be read"),
        ("a\nb", "letters that can be read"),
    ],
)
def test_names_that_nothing_can_hold_are_refused(refusal, small, name, expected):
    assert expected in refusal(with_arms(small, {"name": name}))


def test_a_suite_is_named_like_a_file(refusal, small):
    assert "suite: longer than 150 bytes" in refusal({**small, "suite": "x" * 151})
    assert "suite: longer than 150 bytes" in refusal({**small, "suite": "测" * 51})


def test_a_sweep_that_explodes_is_counted_and_refused(refusal, small):
    sweep = {f"a.{n}": [*range(100)] for n in range(6)}
    message = refusal(with_arms(small, {"name": "a", "sweep": sweep}))
    assert message == f"arms: come to {100**6} cells, more than 5000; sweep less"


def test_labels_that_are_too_long_are_refused(refusal, small):
    arm = {"name": "a", "sweep": {"tokenizer.budgets": [[*range(1, 400)]]}}
    assert "more than 1000; put what they share into set" in refusal(with_arms(small, arm))


def test_a_path_of_names_without_end_is_refused(refusal, small):
    arm = {"name": "a", "set": {".".join("a" * 9999): 1}}
    assert "no setting has so many names" in refusal(with_arms(small, arm))


def test_the_home_folder(load, small, tmp_path, monkeypatch):
    load(small, name="home.yaml")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert load_suite("~/home.yaml").path == tmp_path / "home.yaml"


def test_different_cells_of_one_name_are_refused_with_both_arms(refusal, small):
    swept = {"name": "a", "sweep": {"training.steps": [6, 7]}}
    namesake = {"name": "a: steps 7", "set": {"training.steps": 8}}
    assert refusal(with_arms(small, swept, namesake)) == (
        "arms 'a' and 'a: steps 7': two different cells are called 'a: steps 7'; rename an arm"
    )


def test_repetitions_that_differ_in_more_than_seeds_are_refused_with_both_arms(refusal, small):
    swept = {"name": "a", "sweep": {"training.steps": [6], "training.seed": [0, 1]}}
    namesake = {"name": "a: steps 6", "set": {"training.steps": 9}}
    assert refusal(with_arms(small, swept, namesake)) == (
        "arms 'a' and 'a: steps 6': cells that differ in training.steps are both called "
        "'a: steps 6', as if they were repetitions; rename an arm"
    )


def test_repetitions_of_two_arms_are_one_group(load, small):
    arms = (
        {"name": "a", "sweep": {"training.steps": [6], "training.seed": [0, 1]}},
        {"name": "a: steps 6", "set": {"training.steps": 6, "training.seed": 2}},
    )
    assert {cell.group for cell in load(with_arms(small, *arms)).cells} == {"a: steps 6"}


def test_retries_are_those_asked_for(load, small, refusal):
    assert load(small).retries == 2
    assert load({**small, "retries": 0}).retries == 0
    assert refusal({**small, "retries": -1}) == "retries: must be 0 or more"
