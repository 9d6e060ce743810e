from bench.graph.suite_graph import build_graph

POLICY = {"candidates": [1, 2, 4]}
LATER_LENGTHS = {
    "share": 0.8,
    "rest": "candidates",
    "decodes": "one",
    "drawn": 1,
    "distillation": None,
    "self_alignment": 0.0,
    "weights": "uniform",
}
OTHER_LENGTHS = (
    {"share": 0.5},
    {"rest": "all"},
    {"decodes": "pairs"},
    {"decodes": "sandwich", "drawn": 2},
    {"decodes": "pairs", "distillation": {"of": "images", "weight": 1.0}},
    {"decodes": "pairs", "self_alignment": 1.0},
    {"weights": "policy"},
)


def test_lengths_that_came_later_leave_no_trace_at_their_defaults(store, suite_of):
    """Of the cell nor of its two trainings; each changes the keys once it is another.

    Only a round of co-design has the distribution `policy`.
    """

    def chosen(**given):
        changes = {"training": {"lengths": {"distribution": "policy", **given}}, "policy": POLICY}
        suite = suite_of(codesign=changes)
        settings, (cell,) = suite.cells[0].settings, build_graph(suite).evaluations
        tuned = cell.inputs["bank"].inputs["tokenizer"]
        found = [settings["codesign"]["training"], tuned.config["training"]]
        return [training["lengths"] for training in found], (
            suite.cells[0].key,
            tuned.spec(store).key,
        )

    def lengths_of(**given):
        changes = {"training.lengths": given, "finetuning": {"training": {"lengths": given}}}
        suite = suite_of(**changes)
        settings, (cell,) = suite.cells[0].settings, build_graph(suite).evaluations
        tuned = cell.inputs["bank"].inputs["tokenizer"]
        stages = tuned, tuned.inputs["start"]
        found = [settings[key] for key in ("training", "finetuning")]
        found[1] = found[1]["training"]
        found += [stage.config["training"] for stage in stages]
        keys = suite.cells[0].key, *(stage.spec(store).key for stage in stages)
        return [training["lengths"] for training in found], keys

    before = {"distribution": "candidates", "per": "image", "full_share": 0.0}
    lengths, keys = lengths_of()
    assert lengths == [before] * 4
    assert lengths_of(**LATER_LENGTHS) == (lengths, keys)
    policy, keys = chosen()
    assert policy == [{**before, "distribution": "policy"}] * 2
    seen = set(keys)
    for changes in OTHER_LENGTHS:
        lengths, other = chosen(**changes)
        assert all(one.items() >= changes.items() for one in lengths)
        assert not seen & set(other)
        seen |= set(other)
