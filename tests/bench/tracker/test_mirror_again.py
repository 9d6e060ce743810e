import pytest
from mlflow import MlflowClient

from bench.tracker.connection import tracking_uri
from bench.tracker.mirror import mirror


def test_mirroring_twice_changes_nothing(records, mirrored):
    first = mirrored(records)
    before, points = first.ids(), first.all_points()
    second = mirrored(records)
    assert second.ids() == before
    assert second.all_points() == points
    assert [p.info.run_id for p in second.parents] == [p.info.run_id for p in first.parents]
    assert second.states == first.states


def test_a_rerun_on_another_commit_changes_nothing(records, mirrored, vary_record):
    """A record without new results is the same record, whoever wrote it."""
    before = mirrored(records).ids()
    elsewhere = {**records[0].provenance.plain(), "git_commit": "another"}
    assert mirrored([vary_record(one, provenance=elsewhere) for one in records]).ids() == before


def test_a_changed_record_replaces_its_run_alone(records, mirrored, vary_record):
    before = mirrored(records).ids()
    view = mirrored([vary_record(records[0], metrics={"mse": 0.125}), *records[1:]])
    key = records[0].cell_key
    assert view.ids()[key] != before[key]
    assert {k: v for k, v in view.ids().items() if k != key} == {
        k: v for k, v in before.items() if k != key
    }
    assert view.points(view.cells[key], "mse") == [(0, 0.125)]


def test_a_cell_that_succeeds_at_last_is_finished(records, mirrored, vary_record):
    mirrored(records)
    failed = records[2]
    done = vary_record(records[0], cell_key=failed.cell_key, label=failed.label)
    view = mirrored([*records[:2], done])
    assert view.states == {"FINISHED": 4}
    assert view.cells[failed.cell_key].data.tags["error"] == ""


def test_a_suite_that_grows_keeps_the_runs_it_has(records, mirrored):
    before = mirrored(records[:2])
    view = mirrored(records)
    assert {k: view.ids()[k] for k in before.ids()} == before.ids()
    newest = view.cells[records[2].cell_key].data.tags["mlflow.parentRunId"]
    for run in view.cells.values():
        assert run.data.tags["mlflow.parentRunId"] == newest
    assert "RUNNING" not in view.states


class Killed(BaseException):
    pass


@pytest.mark.parametrize("moment", ["log_batch", "log_artifacts", "set_terminated"])
def test_a_half_written_run_is_replaced(records, mirrored, store, view, monkeypatch, moment):
    calls = []
    method = getattr(MlflowClient, moment)

    def dies(self, *args, **kwargs):
        calls.append(moment)
        if len(calls) == 2:
            raise Killed
        return method(self, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, moment, dies)
        with pytest.raises(Killed):
            mirror(records, store, uri=tracking_uri(store))
    left = view()  # The parent's, and that of the cell or of the training that it was at.
    assert left.states["RUNNING"] + left.stage_states["RUNNING"] == 2
    seen = mirrored(records)
    assert "RUNNING" not in seen.stage_states
    assert set(seen.cells) == {record.cell_key for record in records}
    assert "RUNNING" not in seen.states
    assert len(seen.parents) == 1
    for record in records[:2]:
        run = seen.cells[record.cell_key]
        assert seen.points(run, "mse") == [(0, pytest.approx(record.metrics.value("mse")))]
        stage = seen.stage(record, "tokenizer")
        steps = [step for step, _ in seen.points(stage, "training/pixel_loss")]
        assert steps == [10, 20, 30, 40]


def test_an_edited_suite_leaves_nothing_running_of_the_cells_it_lost(
    records, mirrored, store, view, monkeypatch
):
    def dies(self, *args, **kwargs):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "log_artifacts", dies)
        with pytest.raises(Killed):
            mirror(records, store, uri=tracking_uri(store))
    assert set(view().cells) == {records[0].cell_key}
    assert view().states == {"RUNNING": 2}
    seen = mirrored(records[1:2])
    assert set(seen.cells) == {records[1].cell_key}
    assert seen.states == {"FINISHED": 2}


def test_what_another_store_is_writing_on_a_shared_tracker_is_left_alone(records, mirrored):
    view = mirrored(records[:2])
    theirs = view.cells[records[0].cell_key].info.run_id
    view.client.set_tag(theirs, "store", "elsewhere:/store")
    view.client.update_run(theirs, status="RUNNING")
    assert mirrored(records[1:2]).ids()[records[0].cell_key] == theirs


def test_a_cell_that_the_suite_has_lost_stays_as_it_was(records, mirrored):
    before = mirrored(records)
    view = mirrored(records[:2])
    assert view.ids() == before.ids()
    assert view.all_points() == before.all_points()
    assert view.parents[0].info.status == "FINISHED"


def test_runs_that_are_there_twice_become_one(records, mirrored):
    view = mirrored(records[:2])
    key = records[0].cell_key
    first, (parent,) = view.cells[key], view.parents
    for tags in ({"cell_key": key, "record": first.data.tags["record"]}, {"suite_key": "older"}):
        run = view.client.create_run(first.info.experiment_id, tags=tags)
        view.client.set_terminated(run.info.run_id)
    view = mirrored(records[:2])
    assert view.states == {"FINISHED": 3}
    assert [run.info.run_id for run in view.parents] == [parent.info.run_id]


def test_a_run_of_somebody_else_in_the_experiment_is_left_alone(records, mirrored):
    view = mirrored(records[:1])
    run = view.client.create_run(view.parents[0].info.experiment_id, run_name="mine")
    view = mirrored(records[:1])
    assert run.info.run_id in [parent.info.run_id for parent in view.parents]
    assert view.states == {"FINISHED": 2, "RUNNING": 1}


def test_a_setting_that_begins_to_vary_becomes_a_parameter_of_all(records, mirrored):
    view = mirrored(records[:2])
    key = records[0].cell_key
    before = view.ids()[key]
    assert "training.learning_rate" not in view.cells[key].data.params
    view = mirrored(records)
    assert view.ids()[key] == before
    assert view.cells[key].data.params["training.learning_rate"] == "0.01"
