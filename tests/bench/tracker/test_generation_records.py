"""Records of generations and throughputs as the stages make them."""

from collections import Counter

from bench.tracker.parameters import parameters
from bench.tracker.points import points
from bench.tracker.stages import Stages


def test_no_two_points_of_a_metric_are_at_one_step(generation_run):
    kinds = set()
    for record in generation_run.result.records:
        assert record.done, record.error
        found = list(points(record, Stages(generation_run.store).of(record)))
        times = Counter((point.name, point.step) for point in found)
        assert [place for place, count in times.items() if count > 1] == []
        names = {point.name.split("/")[0] for point in found}
        kinds.add(record.kind)
        if record.kind == "generation":
            assert {"length_share", "by_length", "length_distance", "unended"} <= names
        if record.kind == "throughput":
            assert "throughput" in names
    assert {"generation", "throughput"} <= kinds


def test_what_is_generated_names_the_cell(generation_run):
    shown = parameters(generation_run.record("adaptive"), set())
    assert shown["generation.generator.lengths"] == "end_token"
    assert shown["generation.sampling.guidance"] == "1.5"
    assert parameters(generation_run.record("fixed"), set())["generation.budget"] == "2"
    speed = parameters(generation_run.record("trained speed"), set())
    assert speed["throughput.lengths.kind"] == "model"
