"""Damaged models are refused in a line about the file, though their checksums are right."""

import copy
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from bench.errors import UserError
from bench.files import file_sha256
from bench.models.export import export_cell
from bench.models.exported_model import ExportedModel


@pytest.fixture(scope="module")
def exported(small_run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported") / "model"
    export_cell("small:policy: seed 0", small_run.store, folder)
    return folder


@pytest.fixture
def refusal(exported, tmp_path):
    """`refusal(name, change)`: what is said of a model whose file `name` holds other things."""

    def refusal(name, change):
        folder = tmp_path / "model"
        shutil.copytree(exported, folder)
        with safe_open(folder / name, framework="np") as file:
            about = json.loads(file.metadata()["about"])
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        about = copy.deepcopy(about)
        change(about, tensors)
        save_file(tensors, folder / name, metadata={"about": json.dumps(about)})
        lines = (folder / "SHA256SUMS").read_text().splitlines()
        others = [line for line in lines if not line.endswith(f"  {name}")]
        text = "\n".join([*others, f"{file_sha256(folder / name)}  {name}", ""])
        (folder / "SHA256SUMS").write_text(text)
        with pytest.raises(UserError) as error:
            ExportedModel.load(folder)
        return str(error.value).replace(f"{folder}/", "")

    return refusal


def _set(about, value, *path):
    for key in path[:-1]:
        about = about[key]
    about[path[-1]] = value


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        (("tokenizer", "width"), 10**6, "does not hold the weights"),
        (("tokenizer", "encoder_depth"), 10**9, "too few for its layers"),
        (("tokenizer", "budgets"), [1, "x"], "budgets.1: input should be a valid integer"),
        (("tokenizer", "budgets"), [*range(1, 9999)], "too few for its layers"),
        (("tokenizer", "quantizer", "levels"), [9] * 30, "do not fit into 64 bits"),
        (("tokenizer",), 3, "input should be"),
        (("image_size",), 10**9, "image_size: is no number in 1..4096"),
        (("image_size",), True, "image_size: is no number"),
        (("trained_lengths",), None, "trained_lengths: is no list"),
    ],
)
def test_a_description_that_does_not_fit(refusal, path, value, expected):
    message = refusal("tokenizer.safetensors", lambda about, _: _set(about, value, *path))
    assert message.startswith("tokenizer.safetensors: ")
    assert expected in message


def test_tensors_that_do_not_fit(refusal):
    def cut(_, tensors):
        name = sorted(tensors)[0]
        tensors[name] = tensors[name][:1]

    assert "does not hold the weights" in refusal("tokenizer.safetensors", cut)


def test_weights_that_are_no_numbers(refusal):
    def spoil(_, tensors):
        name = sorted(tensors)[0]
        tensors[name] = np.full_like(tensors[name], np.nan)

    assert "is not finite" in refusal("policy.safetensors", spoil)


def test_a_policy_of_another_tokenizer(refusal):
    def other(about, _):
        about["width"] = 7

    assert refusal("policy.safetensors", other).startswith("policy.safetensors: does not hold")


@pytest.mark.parametrize("line", ["", "no sums", f"{'0' * 64}  ../up", f"{'0' * 64}  README.md"])
def test_checksums_of_no_model(exported, tmp_path, line):
    shutil.copytree(exported, tmp_path / "model")
    (tmp_path / "model" / "SHA256SUMS").write_text(line + "\n")
    with pytest.raises(UserError, match="is no exported model"):
        ExportedModel.load(tmp_path / "model")


def test_tokens_of_a_model_of_other_sizes(exported, tmp_path):
    model = ExportedModel.load(exported)
    source = model.source(None)
    model.require_source(source, tmp_path)
    for key in ("codebook_size", "max_tokens", "resolution"):
        with pytest.raises(UserError, match=f"{key}: is 1000000, and"):
            model.require_source(replace(source, **{key: 10**6}), tmp_path)
