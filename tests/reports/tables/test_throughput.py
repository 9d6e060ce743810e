import pytest

from reports.page.verdicts import verdict_lines
from reports.tables.throughput import table


def timed(arm, mode, *, ratio=1.0, batch=8, pixels=False, guidance=False, **more):
    speed = {"median": 100.0 * ratio, "quartile_low": 90.0 * ratio, "quartile_high": 110.0 * ratio}
    return {
        "arm": arm, "mode": mode, "batch": batch, "guidance": guidance, "pixels": pixels,
        "images_per_second": speed, "tokens_per_second": speed, "ratio": ratio,
        "ratio_quartiles": [ratio, ratio, ratio], "first_image_seconds": 0.5,
        "peak_memory_bytes": 100 << 20, **more,
    }  # fmt: skip


@pytest.fixture
def record(tokenizer):
    rows = [
        timed("fixed", "padded"),
        timed("adaptive", "refilled", ratio=2.1, of_ideal=0.96, ratio_quartiles=[2.0, 2.1, 2.2]),
        timed("adaptive", "refilled", ratio=1.5, batch=4),
        timed("adaptive", "refilled", ratio=9.0, batch=16, pixels=True),
        timed("adaptive", "ideal", ratio=2.2, first_image_seconds=None),
    ]
    lengths = {"fixed": 256, "mean": 118.0}
    found = {"weights": "random", "device": "cpu", "threads": 2, "rows": rows, "lengths": lengths}
    return {**tokenizer("policy lengths"), "kind": "throughput", "curve": [], "throughput": found}


def test_every_timing_has_a_row_with_quartiles(record):
    fixed, refilled, *_, ideal = table([record]).rows
    assert fixed.values["images_per_second"].text == "100 [90, 110]"
    assert fixed.values["images_per_second"].more == {"quartile_low": 90.0, "quartile_high": 110.0}
    assert (refilled.values["ratio"].text, refilled.values["of_ideal"].text) == (
        "2.1 [2, 2.2]",
        "96 %",
    )
    assert (fixed.values["ratio"].text, fixed.values["peak_memory_mib"].text) == ("1", "100")
    assert "of_ideal" not in fixed.values
    assert ideal.values["first_image_seconds"].text == "not measured"
    assert fixed.section == record["label"]


def test_random_weights_are_labelled(record):
    assert any("random weights" in note and "mean length 118 of 256" in note
               for note in table([record]).notes)  # fmt: skip


def test_without_timings_that_is_said(tokenizer):
    assert table([tokenizer()]).notes == ("Not made: no cell that is timed has a result.",)


def test_the_verdict_is_the_ratio_of_the_largest_batch_of_bare_tokens(record):
    (line,) = verdict_lines([record])
    assert "in refilled batches of 8, lengths of mean 118 make 2.10 times" in line
    assert line.endswith("the fixed length 256.")
