from bench.store.store import Store
from bench.tracker.stages import stages_of


def test_every_stage_of_a_cell_has_a_label_of_its_own(small_run):
    record = small_run.record("policy: seed 0")
    stages = stages_of(record, small_run.store)
    assert sorted(stage.label for stage in stages) == [
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


def test_a_fine_tuning_and_a_calibration_are_told_apart(method_run):
    labels = {
        stage.label
        for record in method_run.result.records
        for stage in stages_of(record, method_run.store)
    }
    assert {"tokenizer", "tokenizer.finetuning", "bank.policy", "bank.policy.2"} <= labels


def test_without_the_store_there_are_numbers_instead_and_no_times(small_run, tmp_path):
    record = small_run.record("policy: seed 0")
    stages = stages_of(record, Store(tmp_path))
    assert sorted(stage.label for stage in stages) == [
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
