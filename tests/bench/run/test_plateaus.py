from types import SimpleNamespace

from bench.run.plateaus import plateau_line


def record(group, *verdicts):
    stages = [SimpleNamespace(stage="tokenizer", ignition=verdict) for verdict in verdicts]
    return SimpleNamespace(group=group, stages=[SimpleNamespace(stage="data"), *stages])


def test_one_line_names_the_groups_whose_last_training_is_on_a_plateau():
    fine = [record("a", "ignited"), record("b", "plateau", "ignited"), record("old", None)]
    assert plateau_line([*fine, record("failed")]) is None
    line = plateau_line([*fine, record("c", "plateau"), record("c", "plateau")])
    assert line.startswith("on a plateau: the tokenizer of c paints little")
    many = plateau_line([record(name, "ignited", "plateau") for name in "defgh"])
    assert many.startswith("on a plateau: the tokenizer of d; e; f; and 2 more paints little")
    assert "\n" not in many
