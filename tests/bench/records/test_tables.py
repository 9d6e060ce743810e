import pytest
from markdown_it import MarkdownIt

from bench.records.tables import (
    as_markdown,
    as_text,
    escaped,
    format_value,
    main_metrics,
    result_rows,
    result_text,
)


@pytest.fixture
def record(made_record):
    """`record(label, metrics)`: without metrics where it is not done."""

    def record(label, metrics=None, **keys):
        values = {} if metrics is None else {"metrics": metrics}
        return made_record(cell_key=f"key of {label}", label=label, **values, **keys)

    return record


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


def test_a_row_per_record_by_label_with_the_metrics_that_any_has(record):
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


WIDE = [
    {"cell": "a rather long name of a cell, seed 0", "mean_tokens": 7.767, "note": "fine"},
    {"cell": "short", "mean_tokens": 16.0, "note": "one that takes more room than there is"},
]


def test_a_width_wraps_words_and_breaks_names_of_numbers_at_underscores():
    assert as_text(WIDE, width=60).splitlines() == [
        "                                 mean_",
        "cell                            tokens  note",
        "a rather long name of a cell,    7.767  fine",
        "  seed 0",
        "short                               16  one that takes more",
        "                                          room than there is",
    ]


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_nothing_is_wider_than_asked_and_nothing_is_lost(width, small_run):
    rows = result_rows(small_run.result.records)
    text = as_text(rows, width=width)
    assert max(map(len, text.splitlines())) <= width
    for row in rows:
        for name, value in row.items():
            assert all(part in text for part in name.split("_"))
            assert all(word in text for word in format_value(value).split() if len(word) < 12)


SHOWN = [f"{n}.5" for n in range(6)]


def test_columns_without_room_follow_below_with_the_first_one_again():
    rows = [{"cell": "a", **{f"metric{n}": n + 0.5 for n in range(6)}}]
    first, second = as_text(rows, width=40).split("\n\n")
    assert first.split() == ["cell", *(f"metric{n}" for n in range(4)), "a", *SHOWN[:4]]
    assert second.split() == ["cell", "metric4", "metric5", "a", *SHOWN[4:]]


def test_as_many_columns_as_are_keys_are_repeated():
    rows = [{"cell": "a", "budget": 4, **{f"metric{n}": n + 0.5 for n in range(6)}}]
    panels = as_text(rows, width=40, keys=2).split("\n\n")
    assert [panel.split()[:2] for panel in panels] == [["cell", "budget"]] * 2
    assert all(max(map(len, panel.splitlines())) <= 40 for panel in panels)


def test_a_width_with_room_changes_nothing():
    assert as_text(WIDE, width=200) == as_text(WIDE)


def test_markdown():
    rows = [{"name": "a|b", "n": 5}, {"name": "c", "n": None}]
    assert as_markdown(rows).splitlines() == [
        "| name | n |",
        "| --- | ---: |",
        "| a\\|b | 5 |",
        "| c | - |",
    ]


ODD = [
    *(r"a|b", r"\|", r"a\*b", "a\\", "`code`", "``", "<b>bold</b>", "<https://a.b>", "*a* **b**"),
    *(
        "_a_ __b__ a_b",
        "_",
        "é_ _é",
        "a__b__c",
        "[a](b)",
        "![a](b)",
        "[a][b]",
        "[a]: b",
        "~~a~~",
        "&amp; &#42;",
        "# a",
        "#",
        "- a",
        "+ a",
    ),
    *("1. a", "12) a", "> a", "--- ---", "---", ":--", "=", "$x$", "a * b", "-0.5", "-", "1.5"),
]


def shown(markdown):
    """The texts of inline parts, as a reader of GitHub's Markdown sees them; other parts fail."""
    texts = []
    for token in MarkdownIt("gfm-like", {"linkify": False}).parse(markdown):
        kind = token.type.removesuffix("_open").removesuffix("_close")
        assert kind in ("table", "thead", "tbody", "tr", "th", "td", "paragraph", "inline")
        if token.type == "inline":
            assert {child.type for child in token.children} <= {"text", "text_special"}
            texts.append("".join(child.content for child in token.children))
    return texts


def test_a_rendered_table_shows_every_text_as_it_is():
    rows = [{"a*b*|c": name, "_n_": 5} for name in ODD]
    rendered = shown(as_markdown(rows))
    assert rendered == ["a*b*|c", "_n_", *(text for name in ODD for text in (name, "5"))]


@pytest.mark.parametrize("name", [name for name in ODD if name != "-"])
def test_at_the_start_of_a_line_it_is_no_other_block(name):
    assert shown(escaped(name)) == [name]


def test_names_of_metrics_and_intervals_stay_readable():
    assert escaped("kid_lite0_low [0.1, 0.2] -0.5") == "kid_lite0_low [0.1, 0.2] -0.5"


def test_lines_become_one():
    assert shown(as_markdown([{"a\nb": "c\r\n\n| d"}])) == ["a b", "c | d"]


def test_a_terminal_shows_the_main_metrics_without_keys(record):
    records = [record("a", {"psnr": 20.0, "odd": 1.0, "mse": 0.5})]
    assert main_metrics(records) == (["mse", "psnr"], ["odd"])
    assert result_text(records, ["psnr"], width=80).splitlines() == ["cell  psnr", "a       20"]
    records.append(record("b", status="failed", error="no"))
    lines = result_text(records, ["psnr"], width=80).splitlines()
    assert lines[0].split() == ["status", "cell", "psnr", "error"]
    assert lines[2].split() == ["failed", "b", "-", "no"]


def test_metrics_of_another_kind_are_shown_where_no_main_one_is_known(record):
    records = [record("a", {f"rate{n}": 1.0 for n in range(9)})]
    main, others = main_metrics(records)
    assert main == [f"rate{n}" for n in range(6)]
    assert len(others) == 3


def test_only_the_metrics_asked_for(record):
    (row,) = result_rows([record("a", {"mse": 0.5, "odd": 3.0})], ["odd"])
    assert row == {"key": "key of a", "status": "done", "cell": "a", "odd": 3.0}


def test_a_throughput_shows_its_ratios_and_the_rate_they_are_of(record):
    metrics = {
        "ratio/refilled/batch_8": 2.0,
        "images_per_second/fixed/batch_8": 5.0,
        "of_ideal/refilled/batch_8": 0.9,
    }
    (row,) = result_rows([record("a", metrics)])
    assert list(row)[3:] == ["images_per_second/fixed/batch_8", "ratio/refilled/batch_8"]
