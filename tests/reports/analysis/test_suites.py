import pytest

from bench.errors import UserError
from reports.analysis.suites import read_parts


def keys(part):
    return [record.cell_key for record in part.records]


def test_order_is_reference_tokenizers_allocations_and_numbers_by_size(
    tokenizer, policy, write_records
):
    made = [
        policy(reference_arm="plain"),
        tokenizer("rank", swept={"tokenizer.lora.rank": 16}, reference_arm="plain"),
        tokenizer("rank", swept={"tokenizer.lora.rank": 2}, reference_arm="plain"),
        tokenizer("plain", reference_arm="plain"),
    ]
    (part,) = read_parts(["made"], write_records(made))
    assert [record.label.split(",")[0] for record in part.records] == [
        "plain: training.seed 0",
        "rank: tokenizer.lora.rank 2",
        "rank: tokenizer.lora.rank 16",
        "policy: training.seed 0",
    ]


def test_suites_of_one_protocol_stand_together(tokenizer, vary, write_records):
    records = [
        vary(tokenizer(), suite=name, protocol_hash=protocol * 16)
        for name, protocol in (("a", "0"), ("b", "1"), ("c", "0"))
    ]
    parts = read_parts(["a", "b", "c"], write_records(records))
    assert [part.name for part in parts] == ["a", "c", "b"]


def test_protocols_within_a_suite_are_apart(tokenizer, generated, vary, failed, write_records):
    records = [
        tokenizer(),
        vary(tokenizer("other"), protocol_hash="f" * 16),
        failed(tokenizer("lost")),
        vary(generated("gen"), protocol_hash="a" * 16),
    ]
    first, second = read_parts(["made"], write_records(records))
    assert (first.name, second.name) == ("made-00000000", "made-ffffffff")
    assert {r.arm for r in first.records} == {"elastic", "lost", "gen"}
    assert [r.arm for r in second.records] == ["other"]
    assert "2 protocols" in second.notes[0]
    assert [len(first.done), len(first.unfinished)] == [2, 1]


def test_a_file_gives_the_order_and_leaves_out_what_it_no_longer_has(small_run, load, small):
    (whole,) = read_parts([str(small_run.suite.path)], small_run.store.root)
    assert keys(whole) == [cell.key for cell in small_run.suite.cells]
    assert whole.notes == ()
    small["arms"] = [small["arms"][1] | {"sweep": {"policy.seed": [1, 7]}}]
    changed = load(small)
    (part,) = read_parts([str(changed.path)], small_run.store.root)
    assert len(part.records) == 1
    assert part.notes == (
        "1 cells of the suite have no record yet",
        "left out: 5 records of cells that the suite no longer has",
    )


def test_suites_without_records_are_refused(tokenizer, write_records):
    store = write_records([tokenizer()])
    with pytest.raises(UserError, match=r"'mad' has no records .* did you mean 'made'"):
        read_parts(["mad"], store)
    (store / "records" / "empty").mkdir()
    with pytest.raises(UserError, match=r"no records in .*empty; run the suite first"):
        read_parts(["empty"], store)
    with pytest.raises(UserError, match="'made' is named twice"):
        read_parts(["made", "made"], store)
