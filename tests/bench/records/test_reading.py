import json
import shutil
from dataclasses import asdict

import pandas as pd
import pytest

from bench.errors import UserError
from bench.graph.suite_graph import build_graph
from bench.records.reading import read_records, record_path
from bench.records.record import SCHEMA_VERSION
from bench.run.recording import build_record, require_writable_records, write_record
from bench.store.store import Store
from bench.store.sums import write_summed


@pytest.fixture
def store(tmp_path):
    return Store.open(tmp_path / "store")


@pytest.fixture
def record(load, small, store):
    """`record(index)`: the record of a cell of the small suite as the store stands."""
    suite = load(small)
    graph = build_graph(suite)

    def record(index):
        return build_record(suite, suite.cells[index], graph.ends[index], store)

    record.graph = graph
    return record


def test_a_finished_cell_describes_itself(small_run):
    record = small_run.record("policy: seed 1")
    assert record.schema_version == SCHEMA_VERSION
    assert (record.suite, record.arm, record.group) == ("small", "policy", "policy")
    assert record.question == "Does letting the image choose beat not letting it?"
    assert record.swept == {"policy.seed": 1}
    assert (record.status, record.error) == ("done", None)
    assert record.config.policy.seed == 1
    assert record.config.tokenizer.budgets == (1, 2, 4)
    cell = small_run.suite.cells[2]
    assert record.cell_key == cell.key
    result = small_run.store.description("evaluation", small_run.spec("policy: seed 1").key)
    for name in ("controls", "protocol", "protocol_hash", "codebook", "throughput"):
        assert record.plain()[name] == result["result"][name]
    derived = {"tail_entropy_ratio": record.codebook.tail_entropy_ratio}
    assert record.plain()["metrics"] == {**result["result"]["metrics"], **derived}
    assert record.provenance.plain() == result["provenance"]


def test_a_record_names_its_table_of_images(small_run):
    for label in ("elastic", "policy: seed 0"):
        path = small_run.store.root / small_run.record(label).images
        assert path == small_run.artifact(label) / "images.parquet"
        assert path.is_file()


def test_the_stages_of_a_cell_and_their_histories(small_run):
    record = small_run.record("policy: seed 0")
    names = [stage.stage for stage in record.stages]
    assert sorted(names) == [
        "bank", "bank", "data", "data", "evaluation", "png_sizes", "policy", "tokenizer",
    ]  # fmt: skip
    assert names[-1] == "evaluation"
    for stage in record.stages:
        described = small_run.store.description(stage.stage, stage.key)
        assert stage.seconds == described["seconds"]
        assert stage.resources.plain() == described["resources"]
    assert [row.step for row in record.histories["tokenizer"]] == [10, 20, 30, 40]
    assert [row.step for row in record.histories["policy"]] == [10, 20, 30]
    assert set(small_run.record("elastic").histories) == {"tokenizer"}


def test_a_finetuning_has_a_history_of_its_own(method_run):
    histories = method_run.record("heads").histories
    assert set(histories) == {"tokenizer", "finetuning"}
    assert [row.step for row in histories["tokenizer"]] == [10, 20, 30, 40]
    assert [row.step for row in histories["finetuning"]] == [10, 20]
    stages = [stage.stage for stage in method_run.record("heads").stages]
    assert stages.count("tokenizer") == 2
    assert histories["tokenizer"] == method_run.record("plain").histories["tokenizer"]
    assert set(method_run.record("plain").histories) == {"tokenizer"}


def test_the_arm_to_compare_with_is_in_every_record(small_run, method_run):
    assert {record.reference_arm for record in method_run.result.records} == {"plain"}
    assert {record.reference_arm for record in small_run.result.records} == {None}


def test_a_referenced_budget_is_resolved(small_run):
    means = [
        small_run.record(f"policy: seed {seed}").metrics.number("mean_tokens") for seed in (0, 1)
    ]
    record = small_run.record("fixed_at_mean")
    assert record.config.tokenizer.budgets == (round(sum(means) / 2),)
    assert {s.stage for s in record.stages} == {
        "data", "tokenizer", "bank", "png_sizes", "evaluation",
    }  # fmt: skip


def test_where_a_length_comes_from_stays_in_the_record(small_run, record):
    reference = {"mean_budget_of": "policy", "where": {}, "same": ()}
    assert asdict(small_run.record("fixed_at_mean").length_from) == reference
    assert asdict(record(-1).length_from) == reference  # and before anything has run
    assert small_run.record("elastic").length_from is None


def test_before_a_run_cells_are_pending(record):
    for index in range(6):
        pending = record(index)
        assert (pending.status, pending.error, pending.stages) == ("pending", None, ())
        assert "metrics" not in pending.plain()
        assert list(pending.metrics) == []
        assert pending.provenance.python
    assert record(5).settings["tokenizer"]["budgets"] == {
        "mean_budget_of": "policy",
        "where": {},
        "same": [],
    }


def test_a_failed_stage_fails_the_cells_that_need_it(record, store):
    policy = record.graph.evaluations[1].inputs["policy"].spec(store)
    store.record_failure(policy.stage, policy.key, "ValueError: no")
    states = [(record(i).status, record(i).error) for i in range(6)]
    failed, pending = ("failed", "policy: ValueError: no"), ("pending", None)
    # The last cell waits for the mean budget of the failed policy.
    assert states == [pending, failed, pending, pending, pending, failed]


def test_the_first_failure_of_a_cell_is_told(record, store):
    evaluation = record.graph.evaluations[1].spec(store)
    tokenizer = record.graph.evaluations[1].inputs["bank"].inputs["tokenizer"].spec(store)
    store.record_failure(evaluation.stage, evaluation.key, "old")
    store.record_failure(tokenizer.stage, tokenizer.key, "cause")
    assert record(1).error == "tokenizer: cause"


def test_records_are_files_that_read_back(small_run):
    folder = small_run.store.root / "records" / "small"
    written = {path.name: json.loads(path.read_text()) for path in folder.glob("*.json")}
    assert written == {f"{r.cell_key}.json": r.plain() for r in small_run.result.records}
    assert [r.plain() for r in read_records(folder)] == [written[n] for n in sorted(written)]


def test_a_record_is_rewritten_in_place(small_run, store, vary_record):
    record = small_run.record("elastic")
    path = write_record(store, record)
    assert path == record_path(store, "small", record.cell_key)
    write_record(store, vary_record(record, label="renamed"))
    assert [r.label for r in read_records(path.parent)] == ["renamed"]


def newer(record):
    return {**record.plain(), "schema_version": SCHEMA_VERSION + 1}


def test_a_record_of_a_newer_schema_is_not_overwritten(small_run, store):
    record = small_run.record("elastic")
    path = write_record(store, record)
    write_summed(path, newer(record))
    with pytest.raises(UserError, match=f"{path.name}: written by a newer adatok-bench and not"):
        write_record(store, record)
    with pytest.raises(UserError, match=f"{path.name}: written by a newer"):
        require_writable_records(store, small_run.suite)
    assert json.loads(path.read_text()) == newer(record)
    write_summed(path, record.plain())
    require_writable_records(store, small_run.suite)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"schema_version": 1, "sui', "not a whole record"),
        ("", "not a whole record"),
        ("[1, 2]", "not a record of adatok-bench"),
        ('{"name": "x"}', "not a record of adatok-bench"),
        (b"\xff\xfe{", "not a whole record"),
    ],
)
def test_a_torn_record_is_one_line_that_names_it(tmp_path, text, reason):
    path = tmp_path / "cell.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UserError, match=f"cell.json: {reason}") as error:
        read_records(tmp_path)
    assert "\n" not in str(error.value)


def test_a_torn_record_is_written_anew(small_run, store):
    record = small_run.record("elastic")
    path = write_record(store, record)
    path.write_text(path.read_text()[:50])
    require_writable_records(store, small_run.suite)
    write_record(store, record)
    assert read_records(path.parent) == [record]


def test_a_finished_cell_names_its_table_of_images(small_run):
    for label in ("elastic", "policy: seed 1"):
        path = small_run.store.root / small_run.record(label).images
        assert path == small_run.artifact(label) / "images.parquet"
        assert {"id", "sha256", "budget", "mse"} <= set(pd.read_parquet(path).columns)


def test_a_newer_schema_is_refused_and_missing_records_are_told(small_run, tmp_path):
    folder = tmp_path / "records"
    with pytest.raises(UserError, match=r"no records in .*run the suite first"):
        read_records(folder)
    shutil.copytree(small_run.store.root / "records" / "small", folder)
    path = sorted(folder.glob("*.json"))[0]
    write_summed(path, newer(small_run.result.records[0]))
    with pytest.raises(UserError, match=f"{path.name}: written by a newer adatok-bench"):
        read_records(folder)
