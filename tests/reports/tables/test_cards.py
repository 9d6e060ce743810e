"""Protocol card, compute and cells: tables that list rather than compare."""

import pytest
from reports.analysis.kinds import protocol_line, reconstructions

from reports.tables import cells, compute, protocol_card
from reports.tables.table import NOT_MEASURED


def column(found, name):
    return [row.values[name].text for row in found.rows if name in row.values]


def test_the_card_lists_the_whole_protocol(tokenizer, complete):
    record = complete(tokenizer())
    record["protocol"] = {
        "images_count": 24,
        "extractors": {"lite0": {"layer": "pooled"}},
        "no": {},
    }
    found = protocol_card.table([record])
    card = dict(zip(column(found, "field"), column(found, "0" * 16), strict=True))
    assert card["images_count"] == "24"
    assert card["extractors.lite0.layer"] == "pooled"
    assert card["no"] == "-"
    assert card["git commit"] == "c0ffee" * 6


def test_each_protocol_has_its_column_and_dirty_commits_are_said(tokenizer, complete):
    one, other = complete(tokenizer()), complete(tokenizer("other"))
    other |= {"protocol_hash": "f" * 16, "kind": "generation"}
    other["provenance"] = {**other["provenance"], "git_dirty": True}
    found = protocol_card.table([one, other])
    assert [each.name for each in found.columns] == ["field", "0" * 16, "f" * 16]
    assert any("not committed" in text for text in column(found, "f" * 16))
    assert not any("not committed" in text for text in column(found, "0" * 16))


def test_the_card_counts_cells(tokenizer, failed, complete):
    found = protocol_card.table([complete(tokenizer()), failed(tokenizer("lost"))])
    assert found.notes[0].startswith("2 cells: 1 done, 1 failed;")
    assert protocol_card.table([failed(tokenizer())]).notes == ("Not made: no cell has a result.",)


@pytest.fixture
def costs(tokenizer, policy, complete):
    one, other = complete(tokenizer()), complete(policy())
    other["stages"] = [*one["stages"], {**one["stages"][0], "stage": "policy", "key": "p",
                       "seconds": 7.0, "peak_memory_bytes": 900 << 20}]  # fmt: skip
    return [one, other]


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


def test_fine_tuning_is_a_stage_of_its_own(costs, vary):
    record = vary(costs[0], settings={"finetuning": {"training": {"steps": 50}}})
    rows = {r.values["stage"].text: r.values for r in compute.table([record]).rows}
    assert rows["finetuning"]["steps"].text == "50"
    assert (rows["tokenizer"]["seconds"].text, rows["finetuning"]["seconds"].text) == (
        *("100.0",),
        "20.0",
    )


def test_a_gpu_and_what_is_not_counted_are_said(costs, failed):
    costs[0]["stages"][1]["resources"] = {"cpus": 4, "gpus": 0.5, "device": "cuda"}
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
    assert column(found, "cell") == sorted(record["label"] for record in records)
    rows = {row.values["cell"].text: row for row in found.rows}
    lost, chosen = rows["lost: training.seed 0"], rows["policy: training.seed 0, policy.seed 3"]
    assert (lost.status, lost.values["error"].text) == (
        "failed",
        "tokenizer: DivergedError: loss is not finite",
    )
    assert "policy 3" in chosen.values["seeds"].text


def test_what_a_cell_lacks_is_not_measured(tokenizer, vary):
    one, other = tokenizer("a"), tokenizer("b")
    del other["metrics"]["psnr"]
    assert column(cells.table([one, other]), "psnr") == ["21", NOT_MEASURED]
    other["metrics"]["psnr"] = float("nan")
    assert column(cells.table([one, other]), "psnr") == ["21", NOT_MEASURED]


def test_other_kinds_are_no_reconstructions(tokenizer):
    record = tokenizer()
    named = {**record, "kind": "reconstruction"}
    assert reconstructions([record, named, {**record, "kind": "throughput"}]) == [record, named]
    assert protocol_line([record]) == "24 validation images of 32 px, protocol 0000000000000000"
