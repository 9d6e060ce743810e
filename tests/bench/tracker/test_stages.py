from bench.store.store import Store
from bench.tracker.stages import Stages, labelled, shared, trainings_of


def test_every_stage_of_a_cell_has_a_label_of_its_own(small_run):
    record = small_run.record("policy: seed 0")
    stages = Stages(small_run.store).of(record)
    assert sorted(labelled(stages)) == [
        "bank.evaluation",
        "bank.policy",
        "data.train",
        "data.validation",
        "evaluation",
        "png_sizes",
        "policy",
        "tokenizer",
    ]
    assert [stage.seconds for stage in stages] == [s.seconds for s in record.stages]
    assert all(stage.began <= stage.ended for stage in stages)
    (own,) = {stage.key for stage in stages} - shared(stages)
    assert own == next(stage.key for stage in stages if stage.stage == "evaluation")
    curves = trainings_of(record)
    assert curves == {
        stage.stage: stage.key for stage in stages if stage.stage in ("tokenizer", "policy")
    }
    tokenizer = next(stage for stage in stages if stage.stage == "tokenizer")
    assert tokenizer.rows == len(record.histories["tokenizer"])


def test_a_fine_tuning_and_a_calibration_are_told_apart(method_run):
    labels = {
        label
        for record in method_run.result.records
        for label in labelled(Stages(method_run.store).of(record))
    }
    assert {"tokenizer", "tokenizer.finetuning", "bank.policy", "bank.policy.2"} <= labels


def test_without_the_store_there_are_numbers_instead_and_no_times(small_run, tmp_path):
    record = small_run.record("policy: seed 0")
    stages = Stages(Store(tmp_path)).of(record)
    assert sorted(labelled(stages)) == [
        "bank",
        "bank.2",
        "data",
        "data.2",
        "evaluation",
        "png_sizes",
        "policy",
        "tokenizer",
    ]
    assert {stage.began for stage in stages} == {None}
