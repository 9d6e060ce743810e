import json
import re
from datetime import UTC, datetime
from pathlib import Path

import jsonschema
import pytest

from bench.metrics.declared import declared_metric
from bench.records.every_eval_ever import VERSION, document

SCHEMA = json.loads((Path(__file__).parent / "every_eval_ever" / "eval.schema.json").read_text())
NOW = 1760492095.25


@pytest.fixture(scope="module")
def check():
    jsonschema.Draft7Validator.check_schema(SCHEMA)
    return jsonschema.Draft7Validator(SCHEMA).validate


@pytest.fixture
def document_of(check):
    """`document_of(record, run)`: the document, as the schema wants it."""

    def document_of(record, run=None, **options):
        store = run.store.root if run else Path("nowhere")
        made = document(record, store=store, retrieved=NOW, **options)
        made = json.loads(json.dumps(made, allow_nan=False))
        check(made)
        return made

    return document_of


def results(made, evaluation=None):
    return {
        one["evaluation_result_id"]: one
        for one in made["evaluation_results"]
        if evaluation in (None, one["evaluation_name"])
    }


def test_it_is_the_version_of_the_schema():
    assert SCHEMA["version"] == VERSION


@pytest.mark.parametrize("label", ["elastic", "policy: seed 0", "fixed_at_mean"])
def test_reconstructions(document_of, small_run, label):
    record = small_run.record(label)
    made = document_of(record, small_run)
    assert made["schema_version"] == VERSION
    own = results(made, "reconstruction")
    judged = {
        name: value
        for name, value in record.metrics.root.items()
        if declared_metric(name).judged and value is not None
    }
    assert {name: one["score_details"]["score"] for name, one in own.items()} == judged
    assert {"mse", "psnr", "fd_lite0"} <= set(own)
    for name, one in own.items():
        config = one["metric_config"]
        assert config["lower_is_better"] is not declared_metric(name).higher_is_better
        assert config["additional_details"] == {"protocol_hash": record.protocol_hash}
        assert one["score_details"]["details"] == {"images": "24"}
        source = one["source_data"]
        assert source["dataset_name"] == "fluent_scenes"
        assert source["additional_details"]["images_digest"] == record.protocol.images_digest
    assert own["psnr"]["metric_config"]["lower_is_better"] is False
    assert own["psnr"]["metric_config"]["metric_unit"] == "dB"
    ids = [one["evaluation_result_id"] for one in made["evaluation_results"]]
    assert len(ids) == len(set(ids))


def test_values_without_a_better_direction_stand_with_the_model(document_of, small_run):
    record = small_run.record("policy: seed 0")
    made = document_of(record, small_run)
    details = made["model_info"]["additional_details"]
    for name, value in record.metrics.root.items():
        assert (name in results(made)) is not (f"measured.{name}" in details)
        if f"measured.{name}" in details:
            assert json.loads(details[f"measured.{name}"]) == value
    assert details["measured.collapsed"] in ("true", "false")


def test_the_kernel_distance_has_its_interval(document_of, small_run):
    record = small_run.record("policy: seed 0")
    found = results(document_of(record, small_run))["kid_lite0"]["score_details"]["uncertainty"]
    interval = found["confidence_interval"]
    ends = [record.metrics.value(f"kid_lite0_{end}") for end in ("low", "high")]
    assert [interval["lower"], interval["upper"]] == ends
    assert (interval["confidence_level"], found["num_samples"]) == (0.95, 24)
    assert "uncertainty" not in results(document_of(record, small_run))["mse"]["score_details"]


def test_an_extrapolated_distance_has_its_standard_error(document_of, small_run, vary_record):
    values = {"fd_lite0_infinite": 3.0, "fd_lite0_infinite_se": 0.25}
    record = vary_record(small_run.record("elastic"), metrics=values)
    made = document_of(record, small_run)
    found = results(made)["fd_lite0_infinite"]["score_details"]["uncertainty"]
    assert found["standard_error"]["value"] == 0.25
    assert "fd_lite0_infinite_se" not in results(made)


def test_curve_and_controls_are_results_of_their_own(document_of, small_run):
    made = document_of(small_run.record("elastic"), small_run)
    for row in small_run.record("elastic").curve:
        id_ = f"mse/budget={row.budget}/budget_was_trained={row.trained}"
        one = results(made, f"reconstruction at {row.budget} tokens")[id_]
        assert one["score_details"]["score"] == row.value("mse")
        parameters = one["metric_config"]["metric_parameters"]
        assert parameters == {"budget": row.budget, "budget_was_trained": row.trained}
    record = small_run.record("policy: seed 0")
    made = document_of(record, small_run)
    for name, control in record.controls.items():
        one = results(made, f"reconstruction, control {name}")[f"mse/control={name}"]
        assert one["score_details"]["score"] == control.value("mse")


def test_where_it_comes_from(document_of, small_run):
    record = small_run.record("policy: seed 0")
    made = document_of(record, small_run)
    model, source = made["model_info"], made["source_metadata"]
    assert model["id"] == f"unknown/small-{record.cell_key}"
    assert made["evaluation_id"] == f"small/{model['id']}/{NOW}"
    assert made["retrieved_timestamp"] == str(NOW)
    assert datetime.fromisoformat(made["evaluation_timestamp"]).tzinfo == UTC
    details = source["additional_details"]
    assert details["cell_key"] == record.cell_key
    assert json.loads(details["protocol"]) == record.protocol.plain()
    assert "superseded" not in details
    assert made["eval_library"]["version"] == record.provenance.packages["adatok-bench"]
    assert re.fullmatch(r"\d+\.\d+.*", made["eval_library"]["version"])
    told = json.loads(model["additional_details"]["settings"])
    assert told["tokenizer"] == record.settings["tokenizer"]


def test_what_is_not_known_is_said_to_be(document_of, small_run, vary_record):
    record = small_run.record("elastic")
    provenance = {**record.plain()["provenance"], "packages": {}, "git_commit": None}
    folder = {"kind": "image_folder", "path": "/home/someone/photos", "resolution": 32}
    settings = {**record.settings, "data": folder}
    older = vary_record(record, provenance=provenance, settings=settings)
    made = document_of(older, superseded="2026-01-01T00:00:00Z")
    assert made["eval_library"]["version"] == "unknown"
    assert "git_commit" not in made["eval_library"]["additional_details"]
    assert made["model_info"]["inference_engine"]["version"] == "unknown"
    assert "evaluation_timestamp" not in made
    assert made["source_metadata"]["source_organization_name"] == "unknown"
    assert made["source_metadata"]["additional_details"]["superseded"] == "2026-01-01T00:00:00Z"
    # Where files lie here is nobody's business.
    assert "someone" not in json.dumps(made)


def test_values_that_are_no_finite_numbers_are_no_results(document_of, small_run, vary_record):
    odd = {"psnr": None, "not_installed": 3.0}
    made = document_of(vary_record(small_run.record("elastic"), metrics=odd), small_run)
    assert {"psnr", "not_installed"}.isdisjoint(results(made))
    details = made["model_info"]["additional_details"]
    assert (details["measured.psnr"], details["measured.not_installed"]) == ("null", "3.0")


def test_only_the_metrics_asked_for(document_of, small_run):
    made = document_of(small_run.record("elastic"), small_run, metrics=("mse", "min_tokens"))
    assert {name.split("/")[0] for name in results(made)} == {"mse"}
    measured = [n for n in made["model_info"]["additional_details"] if n.startswith("measured.")]
    assert measured == ["measured.min_tokens"]


def test_samples(document_of, generation_run):
    record = generation_run.record("adaptive")
    made = document_of(record, generation_run)
    own = results(made, "generation")
    assert own["gfd_lite0"]["score_details"]["details"] == {"images": "20"}
    distance = record.generation.distance["wasserstein_1"]
    found = own["length_wasserstein_1"]["score_details"]["uncertainty"]
    assert found["confidence_interval"]["upper"] == distance.high
    arguments = own["gfd_lite0"]["generation_config"]["generation_args"]
    assert arguments == {"temperature": 1.0, "top_k": 0, "top_p": 1.0}
    others = own["gfd_lite0"]["generation_config"]["additional_details"]
    assert others["guidance"] == "1.5"
    for row in record.generation.by_length:
        scores = {
            one["metric_config"]["metric_id"]: one["score_details"]
            for one in results(made, f"generation at {row.tokens} tokens").values()
        }
        found = scores["adatok-bench.gfd_lite0"]
        assert (found["score"], found["details"]) == (row.value("gfd_lite0"), {"images": "20"})


def test_a_speed_is_of_no_images(document_of, generation_run):
    made = document_of(generation_run.record("trained speed"), generation_run)
    assert results(made)["ratio/refilled/batch_4"]["metric_config"]["lower_is_better"] is False
    for one in made["evaluation_results"]:
        assert one["source_data"] == {"dataset_name": "none", "source_type": "other"}
        assert one["score_details"]["details"] == {}
