import json
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

from bench.errors import UserError
from bench.metrics.declared import declared_metric
from bench.records.record import SCHEMA_FILE, json_schema, parse_record


def test_the_schema_that_ships_is_the_models():
    """After a change of the model: `python -m bench.records.record` writes it anew."""
    assert json.loads(SCHEMA_FILE.read_text("utf-8")) == json_schema()


def test_records_keep_to_the_schema_that_ships(small_run, generation_run, method_run):
    check = jsonschema.Draft202012Validator(json.loads(SCHEMA_FILE.read_text("utf-8"))).validate
    for run in (small_run, generation_run, method_run):
        for path in (run.store.root / "records").rglob("*.json"):
            content = json.loads(path.read_text("utf-8"))
            check(content)
            with pytest.raises(jsonschema.ValidationError):
                check({**content, "metrcis": {}})


def test_records_read_back_as_they_were_written(small_run, generation_run):
    for run in (small_run, generation_run):
        for path in (run.store.root / "records").rglob("*.json"):
            text = path.read_text("utf-8")
            again = parse_record(text, where="again").plain()
            assert json.dumps(again, indent=1, allow_nan=False) + "\n" == text


def test_everything_that_is_measured_is_declared(small_run, method_run, generation_run):
    for run in (small_run, method_run, generation_run):
        for record in run.result.records:
            names = {*record.metrics, *(n for one in record.controls.values() for n in one)}
            rows = list(record.curve)
            if record.generation is not None:
                rows += [*record.generation.by_length, *record.generation.by_group]
            for name in names.union(*(row.values for row in rows)):
                declared_metric(name)


def test_a_slip_of_a_name_is_an_error(small_run):
    record = small_run.record("elastic")
    for asked in (record.metrics, record.curve[0]):
        with pytest.raises(UserError, match=r"unknown metric 'psnrr'; did you mean 'psnr'\?"):
            asked.value("psnrr")
    with pytest.raises(AttributeError):
        record.metrcis  # noqa: B018
    with pytest.raises(UserError, match="'pixel_los'; did you mean 'pixel_loss'"):
        record.histories["tokenizer"][0].value("pixel_los")
    with pytest.raises(ValueError, match="frozen"):
        record.label = "another"


def test_a_slip_is_an_error_of_the_type_checker_too(tmp_path):
    wrong = (
        "record.metrcis", "record.curve[0].psnr", 'record["metrics"]', "record.stages[0].second",
    )  # fmt: skip
    lines = [
        "from bench.records.record import Record",
        "def read(record: Record) -> None:",
        *(f"    {one}" for one in (*wrong, 'record.metrics.value("psnr")')),
    ]
    (tmp_path / "reader.py").write_text("\n".join(lines))
    root = Path(__file__).parents[3]
    command = [sys.executable, "-m", "mypy", "--follow-imports=silent", "--no-error-summary"]
    command += ["--cache-dir", str(root / ".mypy_cache"), str(tmp_path / "reader.py")]
    found = subprocess.run(command, cwd=root, capture_output=True, text=True).stdout
    assert [line.split(":")[1] for line in found.splitlines()] == ["3", "4", "5", "6"], found


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"metrcis": {}}, "metrcis: unknown key"),
        ({"label": 3}, "label: input should be a valid string"),
        ({"curve": [{"budget": 4}]}, "curve.0.trained: missing"),
        ({"curve": [{"budget": 4, "trained": True, "mse": "low"}]}, "curve.0.mse"),
        ({"stages": [{"stage": "data"}]}, "stages.0.key: missing"),
        ({"status": "faild"}, "status: input should be 'done', 'failed', 'pending' or 'stopped'"),
        ({"status": "failed"}, "allocator: a cell that is failed has no results"),
        ({"kind": "generation"}, "generation: missing in a generation that is done"),
        ({"throughput": {"rows": []}}, "throughput.generator.weights: missing"),
        ({"schema_version": 2}, "written by a newer adatok-bench; update this one"),
        ({"schema_version": 0}, "of schema 0, which is read no more; run its suite again"),
    ],
)
def test_a_file_that_keeps_not_to_the_schema_is_one_line(small_run, change, message):
    content = {**small_run.record("elastic").plain(), **change}
    with pytest.raises(UserError) as error:
        parse_record(json.dumps(content), where="cell.json")
    assert str(error.value).startswith(f"cell.json: {message}")
    assert "\n" not in str(error.value)


def test_a_key_that_is_missing_is_named(small_run):
    content = small_run.record("elastic").plain()
    for name in ("label", "metrics", "provenance"):
        less = {key: value for key, value in content.items() if key != name}
        with pytest.raises(UserError, match=f"cell.json: {name}: missing"):
            parse_record(json.dumps(less), where="cell.json")


def test_settings_are_typed_also_where_a_length_is_not_known_yet(small_run, vary_record):
    record = small_run.record("fixed_at_mean")
    assert record.config.training.steps == record.setting("training.steps") == 40
    assert record.setting("training.stpes") is None
    unknown = {"mean_budget_of": "policy", "where": {}, "same": []}

    def waiting(**tokenizer):
        settings = record.plain()["settings"]
        settings["tokenizer"] |= {"budgets": unknown, **tokenizer}
        return vary_record(record, settings=settings).config.tokenizer

    assert waiting().budgets == (1,)
    assert waiting(encoding="grid").budgets == (16,)
    assert waiting(encoding="recurrent", rollouts=4).budgets == (4,)


def test_reading_records_imports_no_numeric_library():
    code = "import sys, bench.records.reading; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout
    assert not {"torch", "scipy", "pandas", "numpy", "ray", "mlflow"} & set(loaded.split())
