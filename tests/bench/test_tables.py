import pytest

from bench.tables import as_text, format_value, result_rows


def record(label, metrics=None, **changes):
    base = {"cell_key": f"key of {label}", "label": label, "status": "done", "error": None}
    return {**base, **({} if metrics is None else {"metrics": metrics}), **changes}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "-"),
        (True, "yes"),
        (False, "no"),
        (0.123456, "0.1235"),
        (12.3456, "12.35"),
        (-0.5, "-0.5"),
        (12345.6, "12346"),
        (1e-7, "1e-07"),
        (118, "118"),
        ("done", "done"),
    ],
)
def test_values(value, expected):
    assert format_value(value) == expected


def test_a_row_per_record_by_label_with_the_metrics_that_any_has():
    records = [
        record("b", {"mse": 0.5, "unknown": 3}),
        record("a", {"mean_tokens": 4.0, "mse": None}),
        record("c", status="failed", error="tokenizer: no"),
    ]
    rows = result_rows(records)
    assert rows == [
        {"key": "key of a", "status": "done", "cell": "a", "mean_tokens": 4.0, "mse": None},
        {"key": "key of b", "status": "done", "cell": "b", "mean_tokens": None, "mse": 0.5},
        {"key": "key of c", "status": "failed", "cell": "c", "mean_tokens": None, "mse": None}
        | {"error": "tokenizer: no"},
    ]


def test_text_is_aligned_numbers_right_and_words_left():
    rows = [{"name": "a", "n": 5}, {"name": "longer", "n": 1234.5, "error": "[bold]why[/bold]"}]
    assert as_text(rows).splitlines() == [
        "name       n  error",
        "a          5  -",
        "longer  1234  [bold]why[/bold]",
    ]


def test_long_values_are_not_cut():
    assert "x" * 500 in as_text([{"error": "x" * 500}])


def test_real_records(small_run):
    text = as_text(result_rows(small_run.result.records))
    lines = text.splitlines()
    assert len(lines) == 7
    assert lines[0].split()[:4] == ["key", "status", "cell", "mean_tokens"]
    assert sum("DivergedError" in line for line in lines) == 2
    assert "rfid" not in lines[0]


def test_a_throughput_shows_its_ratios_and_the_rate_they_are_of():
    metrics = {
        "ratio/refilled/batch_8": 2.0,
        "images_per_second/fixed/batch_8": 5.0,
        "of_ideal/refilled/batch_8": 0.9,
    }
    (row,) = result_rows([record("a", metrics)])
    assert list(row)[3:] == ["images_per_second/fixed/batch_8", "ratio/refilled/batch_8"]
