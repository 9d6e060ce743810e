import pytest

from reports.page.verdicts import verdict_lines
from reports.tables.throughput import table


@pytest.fixture
def record(timed):
    refilled = {"arm": "adaptive", "mode": "refilled"}
    return timed(
        rows=[
            {"arm": "fixed", "mode": "padded"},
            {**refilled, "ratio": 2.1, "of_ideal": 0.96, "ratio_quartiles": [2.0, 2.2]},
            {**refilled, "ratio": 1.5, "batch": 4},
            {**refilled, "ratio": 9.0, "batch": 16, "pixels": True},
            {"arm": "adaptive", "mode": "ideal", "ratio": 2.2, "first_image_seconds": None},
        ]
    )


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
    assert fixed.section == record.label


def test_random_weights_are_labelled(record):
    assert any("random weights" in note and "mean length 118 of 256" in note
               for note in table([record]).notes)  # fmt: skip


def test_without_timings_that_is_said(tokenizer):
    assert table([tokenizer()]).notes == ("Not made: no cell that is timed has a result.",)


def test_the_verdict_is_the_ratio_of_the_largest_batch_of_bare_tokens(record):
    (line,) = verdict_lines([record])
    assert "in refilled batches of 8, lengths of mean 118 make 2.10 times" in line
    assert line.endswith("the fixed length 256.")
