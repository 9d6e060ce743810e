import hashlib
import json
from dataclasses import asdict

import pytest
import torch
from mlflow import MlflowClient
from small_suites import CODESIGN, GENERATION, METHOD, suite

from bench.config.cell import CellConfig
from bench.data.datasets import FluentScenes
from bench.errors import UserError
from bench.files import file_sha256
from bench.metrics.networks.lpips import WIDTHS, vgg16_features
from bench.metrics.networks.torchvision_shim import prepare_torchvision
from bench.metrics.weight_files import WeightFile
from bench.records.protocol import Protocol
from bench.records.record import SCHEMA_VERSION, parse_record
from bench.suite.cells import Cell

MADE = {
    "schema_version": SCHEMA_VERSION,
    "suite": "made",
    "question": "Which?",
    "cell_key": "0" * 16,
    "arm": "arm",
    "label": "arm",
    "group": "arm",
    "swept": {},
    "reference_arm": None,
    "length_from": None,
    "settings": Cell("arm", CellConfig(data=FluentScenes(train=8, validation=8)), {}).settings,
    "status": "done",
    "error": None,
    "stages": [],
    "provenance": {
        **{"git_commit": None, "git_dirty": None, "packages": {}, "python": "3.11"},
        **{"platform": "Linux", "host": "made", "cpus": 2},
    },
}
RESULTS = {
    "metrics": {},
    "curve": [],
    "controls": {},
    "histories": {},
    "protocol": asdict(
        Protocol(
            **{"images_digest": "d", "images_count": 8, "resolution": 32},
            **{"estimators": {}, "extractors": {}, "versions": {}},
        )
    ),
    "protocol_hash": "0" * 16,
}


@pytest.fixture(scope="session")
def made_record():
    """`made_record(**keys)`: a made-up record with these keys; empty results where it is done."""

    def made_record(**keys):
        done = keys.get("status", "done") == "done"
        content = {**MADE, **(RESULTS if done else {}), **keys}
        return parse_record(json.dumps(content), where="made-up record")

    return made_record


@pytest.fixture(scope="session")
def vary_record():
    """`vary_record(record, **keys)`: the record with other keys; its `metrics` are added to."""

    def vary_record(record, *, metrics=None, **keys):
        content = {**record.plain(), **keys}
        if metrics:
            content["metrics"] = {**content["metrics"], **metrics}
        return parse_record(json.dumps(content), where="made-up record")

    return vary_record


@pytest.fixture(scope="session")
def inception_weights(tmp_path_factory):
    """A weight file of torch-fidelity's Inception with random weights."""
    prepare_torchvision()
    from torch_fidelity import feature_extractor_inceptionv3 as module

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "load_state_dict_from_url", lambda *args, **kwargs: None)
        patch.setattr(module.FeatureExtractorInceptionV3, "load_state_dict", lambda *args: None)
        torch.manual_seed(0)
        network = module.FeatureExtractorInceptionV3("random", ["2048"], verbose=False)
    path = tmp_path_factory.mktemp("inception") / "weights.pth"
    torch.save(network.state_dict(), path)
    return path


@pytest.fixture(scope="session")
def inception_sha256(inception_weights):
    """The hash of that file, which is not that of torch-fidelity's."""
    return hashlib.sha256(inception_weights.read_bytes()).hexdigest()


@pytest.fixture(scope="session")
def inception_file(inception_weights, inception_sha256):
    """Weight files by name: that one, known by its own hash."""
    return {"inception": WeightFile(str(inception_weights), inception_sha256)}


@pytest.fixture(scope="session")
def lpips_files(tmp_path_factory):
    """Random weights of LPIPS by the names of torchvision's and torch-fidelity's files."""
    folder, generator = tmp_path_factory.mktemp("lpips"), torch.Generator().manual_seed(0)
    trunk = {"classifier.6.bias": torch.zeros(3)}  # As in torchvision's file: of no use here.
    for name, value in vgg16_features().state_dict().items():
        scale = (2 / value[0].numel()) ** 0.5 if value.ndim == 4 else 0.1
        trunk[f"features.{name}"] = scale * torch.randn(value.shape, generator=generator)
    weights = {
        f"lin{level}.model.1.weight": torch.rand(1, widths[-1], 1, 1, generator=generator)
        for level, widths in enumerate(WIDTHS)
    }
    files = {}
    for name, state in (("vgg16", trunk), ("lpips", weights)):
        path = folder / f"{name}.pth"
        torch.save(state, path)
        files[name] = WeightFile(str(path), file_sha256(path))
    return files


@pytest.fixture(scope="session")
def method_run(finish):
    """Heads on a frozen tokenizer; policies on codes and pixels; a length never trained, 3."""
    return finish(suite(METHOD))


@pytest.fixture(scope="session")
def codesign_run(finish):
    """Rounds at the lengths of policies, warm and from scratch, and at a single length.

    By way of the command line.
    """
    return finish(suite(CODESIGN), command_line=True)


@pytest.fixture
def refusal(load):
    """`refusal(content)`: why a suite is refused, after the file's name."""

    def refusal(content):
        with pytest.raises(UserError) as error:
            load(content)
        message = str(error.value)
        assert "\n" not in message
        assert "suite.yaml: " in message
        return message.split("suite.yaml: ", 1)[1]

    return refusal


@pytest.fixture(scope="session")
def template(tmp_path_factory):
    """An empty tracking database: its migration takes seconds, a copy none."""
    path = tmp_path_factory.mktemp("mlflow") / "template.db"
    MlflowClient(tracking_uri=f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def generation():
    """The content of the suite of `generation_run`."""
    return suite(GENERATION)


@pytest.fixture(scope="session")
def generation_run(finish):
    """Samples at a fixed budget and with an end token; the speed of trained weights."""
    content = suite(GENERATION)
    arms = [arm for arm in content["arms"] if arm["name"] != "policy speed"]
    return finish({**content, "arms": arms})
