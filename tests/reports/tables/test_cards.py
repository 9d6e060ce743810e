"""Protocol card, compute and cells: tables that list rather than compare."""

import pytest

from reports.analysis.groups import protocol_line, reconstructions
from reports.tables import cells, compute, protocol_card
from reports.tables.table import NOT_MEASURED


def column(found, name):
    return [row.values[name].text for row in found.rows if name in row.values]


def test_the_card_lists_the_whole_protocol(tokenizer, vary):
    record = tokenizer()
    extractors = {"lite0": {"layer": "pooled"}}
    protocol = {**record.protocol.plain(), "extractors": extractors}
    found = protocol_card.table([vary(record, protocol=protocol)])
    card = dict(zip(column(found, "field"), column(found, "0" * 16), strict=True))
    assert card["images_count"] == "24"
    assert card["extractors.lite0.layer"] == "pooled"
    assert card["estimators"] == "-"
    assert card["git commit"] == "c0ffee" * 6


def test_each_protocol_has_its_column_and_dirty_commits_are_said(tokenizer, generated, vary):
    one, other = tokenizer(), generated("other")
    dirty = {**other.provenance.model_dump(), "git_dirty": True}
    other = vary(other, protocol_hash="f" * 16, provenance=dirty)
    found = protocol_card.table([one, other])
    assert [each.name for each in found.columns] == ["field", "0" * 16, "f" * 16]
    assert any("not committed" in text for text in column(found, "f" * 16))
    assert not any("not committed" in text for text in column(found, "0" * 16))


def test_the_card_counts_cells(tokenizer, failed):
    found = protocol_card.table([tokenizer(), failed(tokenizer("lost"))])
    assert found.notes[0].startswith("2 cells: 1 done, 1 failed;")
    assert protocol_card.table([failed(tokenizer())]).notes == ("Not made: no cell has a result.",)


def stage(record, name, **changes):
    first = record.stages[0].model_dump()
    return {**first, "stage": name, "key": name, "peak_memory_bytes": 900 << 20, **changes}


@pytest.fixture
def costs(tokenizer, policy, vary):
    one, other = tokenizer(), policy()
    return [one, vary(other, stages=[*other.stages, stage(one, "policy", seconds=7.0)])]


def test_shared_artifacts_cost_once(costs):
    found = compute.table(costs)
    rows = {row.values["stage"].text: row.values for row in found.rows}
    assert list(rows) == ["data", "tokenizer", "policy", "total"]
    assert (rows["tokenizer"]["seconds"].text, rows["tokenizer"]["artifacts"].text) == (
        "120.0",
        "2",
    )
    assert rows["tokenizer"]["median_seconds"].text == "60.0"
    assert (rows["policy"]["steps"].text, rows["policy"]["peak_memory_mib"].text) == ("600", "900")
    assert (rows["total"]["seconds"].text, rows["total"]["peak_memory_mib"].text) == (
        "128.0",
        "900",
    )
    assert rows["total"]["device"].text == "cpu, 1 thread"


def test_images_that_trainings_decoded_are_told_where_they_are_known(costs, vary):
    assert "decoder_passes" not in {one.name for one in compute.table(costs).columns}
    stages = [one.model_dump() for one in costs[0].stages]
    for place, passes in ((1, 64000), (2, 128000)):
        stages[place] |= {"decoder_passes": passes}
    found = compute.table([vary(costs[0], stages=stages)])
    assert "decoder_passes" in {one.name for one in found.columns}
    rows = {row.values["stage"].text: row.values for row in found.rows}
    assert rows["tokenizer"]["decoder_passes"].text == "64000 or 128000"
    assert "decoder_passes" not in rows["data"]


def test_fine_tuning_is_a_stage_of_its_own(costs, vary):
    record = vary(costs[0], settings={"finetuning": {"training": {"steps": 500}}})
    rows = {r.values["stage"].text: r.values for r in compute.table([record]).rows}
    assert rows["finetuning"]["steps"].text == "500"
    assert (rows["tokenizer"]["seconds"].text, rows["finetuning"]["seconds"].text) == (
        *("100.0",),
        "20.0",
    )


def test_rounds_of_co_design_and_their_policies_are_stages_of_their_own(costs, vary):
    """The cell's own policy is the last one."""
    record = costs[1]
    trained, chose = stage(record, "tokenizer"), stage(record, "policy")
    codesign = {"training": {"steps": 500}, "policy": {"candidates": [2, 4], "steps": 70}}
    codesign["training"]["lengths"] = {"distribution": "policy"}
    stages = [
        *({**chose, "key": "p1"}, {**trained, "key": "t1", "seconds": 3.0}),
        *({**chose, "key": "p2"}, {**trained, "key": "t2", "seconds": 4.0}),
        {**chose, "key": "own"},
    ]
    first = [one for one in costs[0].stages if one.stage == "tokenizer"][:1]
    record = vary(record, stages=[*first, *stages], settings={"codesign": codesign})
    rows = {r.values["stage"].text: r.values for r in compute.table([record]).rows}
    assert list(rows) == ["tokenizer", "codesign policy", "codesign", "policy", "total"]
    found = {
        name: (rows[name]["artifacts"].text, rows[name]["steps"].text)
        for name in rows
        if name != "total"
    }
    assert found == {
        "tokenizer": ("1", "2000"),
        "codesign policy": ("2", "70"),
        "codesign": ("2", "500"),
        "policy": ("1", "600"),
    }
    assert rows["codesign"]["seconds"].text == "7.0"


def test_a_generators_steps_are_told(generated, vary):
    """They were blank as long as the table asked for a setting that is none."""
    generation = {"budget": 16, "training": {"steps": 700}}
    record = generated(settings={"generation": generation})
    record = vary(record, stages=[*record.stages, stage(record, "generator", seconds=9.0)])
    rows = {row.values["stage"].text: row.values for row in compute.table([record]).rows}
    assert rows["generator"]["steps"].text == "700"
    assert rows["tokenizer"]["steps"].text == "2000"


def test_a_gpu_and_what_is_not_counted_are_said(costs, vary, failed):
    stages = [one.model_dump() for one in costs[0].stages]
    stages[1]["resources"] = {"cpus": 4, "gpus": 0.5, "device": "cuda"}
    costs[0] = vary(costs[0], stages=stages)
    found = compute.table([*costs[:1], failed(costs[1])])
    (device,) = (
        r.values["device"].text for r in found.rows if r.values["stage"].text == "tokenizer"
    )
    assert device == "cuda, 4 threads, 0.5 GPU; cpu, 1 thread"
    assert found.notes[-1] == "not counted: what 1 cells without a result took"
    assert compute.table([failed(costs[0])]).notes == ("Not made: no stage has finished.",)


def test_every_cell_has_a_row_with_its_seeds(tokenizer, policy, failed):
    records = [tokenizer(), policy(seed=3), failed(tokenizer("lost"))]
    found = cells.table(records)
    assert column(found, "cell") == sorted(record.label for record in records)
    rows = {row.values["cell"].text: row for row in found.rows}
    lost, chosen = rows["lost: training.seed 0"], rows["policy: training.seed 0, policy.seed 3"]
    assert (lost.status, lost.values["error"].text) == (
        "failed",
        "tokenizer: DivergedError: loss is not finite",
    )
    assert "policy 3" in chosen.values["seeds"].text


def test_what_a_cell_lacks_is_not_measured(tokenizer, vary):
    one, other = tokenizer("a"), tokenizer("b")
    for without in (vary(other, without=["psnr"]), vary(other, metrics={"psnr": float("nan")})):
        assert column(cells.table([one, without]), "psnr") == ["21", NOT_MEASURED]


def test_other_kinds_are_no_reconstructions(tokenizer, generated, timed):
    record = tokenizer()
    assert reconstructions([record, generated(), timed(rows=[])]) == [record]
    assert protocol_line([record]) == "24 validation images of 32 px, protocol 0000000000000000"
