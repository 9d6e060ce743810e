import copy

import pytest
import yaml

NOWHERE = {
    "kind": "webdataset",
    "train": "/no/such/train-*.tar",
    "validation": "/no/such/validation-*.tar",
    "classes": "/no/such/classes.txt",
    "resolution": 48,
    "calibration_fraction": 0.2,
    "augment": {"crop": "random"},
}


@pytest.fixture
def recipe(small, tmp_path):
    """`recipe(change)`: the file of a suite for eight GPUs and images that are not here."""

    def recipe(change=lambda content: None):
        content = copy.deepcopy(small)
        content["base"]["data"] = NOWHERE
        content["base"]["bank"] |= {"inception_weights": "/no/such.pth"}
        content["device"] = "cuda"
        content["resources"] = {"tokenizer": {"cpus": 64, "gpus": 8}}
        content["loader"] = {"workers": 1}
        content["arms"] = [content["arms"][1], content["arms"][3]]
        change(content)
        path = tmp_path / "recipe.yaml"
        path.write_text(yaml.safe_dump(content, sort_keys=False))
        return path

    return recipe


def test_every_stage_is_tried_and_nothing_is_kept(recipe, adatok, tmp_path):
    def in_all(content):
        content["arms"][0]["set"]["finetuning"] = {"training": {"steps": 900, "batch": 64}}
        content["arms"].append(
            {
                "name": "generator",
                "set": {
                    "generation": {
                        "budget": 4,
                        "generator": {"width": 16, "depth": 1, "attention_heads": 2},
                        "training": {"steps": 900, "batch": 64},
                        "images": 50_000,
                        "reference": {"file": "/no/such.npz"},
                    }
                },
            }
        )

    store = tmp_path / "store"
    answer = adatok("run", recipe(in_all), "--store", store, "--dry-run", 1)
    assert answer.code == 0, answer.err
    *stages, last = answer.out.strip().splitlines()
    assert last.startswith(f"dry run passed: {len(stages)} stages in ")
    assert last.endswith("nothing of it is kept")
    told = [line.split()[0] for line in stages]
    assert {"manifest", "tokenizer", "bank", "policy", "evaluation", "samples"} < {*told}
    assert told.count("tokenizer") == 3  # The second of two stages, and a fixed length.
    assert all(" s  " in line and " GB: " in line for line in stages)
    assert "/no/such.pth is not there: left out" in answer.err
    assert not [path for path in store.rglob("*") if path.is_file()]


def test_a_stage_that_fails_is_told_and_the_rest_goes_on(recipe, adatok, tmp_path):
    def diverging(content):
        content["arms"] = [{"name": "wild", "set": {"training.learning_rate": 1.0e30}}]

    answer = adatok("run", recipe(diverging), "--store", tmp_path / "s", "--dry-run", 3)
    assert answer.code == 1
    lines = answer.out.strip().splitlines()
    assert any(line.startswith("  tokenizer    failed after") for line in lines)
    assert any(line.startswith("  png_sizes") for line in lines)
    assert any(line.startswith("  bank         left out") for line in lines)
    assert lines[-1].startswith("dry run FAILED: ")
    assert "failed: tokenizer of wild: DivergedError" in answer.err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--batch", 4), "--batch: is of a dry run; give --dry-run as well"),
        (("--dry-run", 2, "--limit", 4), "--dry-run: takes images of its own; leave out --limit"),
    ],
)
def test_options_that_do_not_go_together_are_one_line(recipe, adatok, options, words):
    answer = adatok("run", recipe(), *options)
    assert answer.code == 2
    (line,) = answer.err.strip().splitlines()
    assert words in line
