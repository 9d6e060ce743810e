import csv
import io
import json

import pytest

from bench.metrics.declared import LISTED


@pytest.fixture
def results(adatok, small_run):
    def results(*arguments, **options):
        return adatok("results", "small", "--store", small_run.store.root, *arguments, **options)

    return results


def table(answer):
    return list(csv.DictReader(io.StringIO(answer.out)))


def test_a_pipe_gets_all_columns_however_wide(results):
    answer = results()
    assert answer.code == 0
    assert answer.err == ""
    lines = answer.out.splitlines()
    assert len(lines) == 7
    assert {"key", "status", "cell", "error"} < set(lines[0].split())
    assert len([name for name in lines[0].split() if name in LISTED]) > 10
    assert max(map(len, lines)) > 200


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_a_terminal_gets_what_fits_and_hears_of_the_rest(results, columns):
    answer = results(columns=columns)
    assert max(map(len, answer.out.splitlines())) <= columns
    assert "mse" in answer.out
    assert "kid_lite0" not in answer.out
    assert "more: --metric NAME" in answer.err


def test_metrics_that_were_asked_for_are_all_shown(results):
    asked = ("kid_lite0_low", "encode_images_per_second", "share/tokens_1", "bits", "mse", "psnr")
    options = [text for name in asked for text in ("--metric", name)]
    shown = results(*options, columns=60).out
    assert max(map(len, shown.splitlines())) <= 60
    assert all(part in shown for name in asked for part in name.split("_"))
    rows = table(results(*options, "--format", "csv"))
    assert [name for name in rows[0] if name in asked] == [
        name for name in rows[0] if name not in ("key", "status", "arm", "cell", "error", *SWEPT)
    ]
    by_label = {row["label"]: row for row in json.loads(results(*options, "--json").out)}
    assert set(by_label["elastic"]["metrics"]) == set(asked)
    assert "metrics" in by_label["diverged: evaluation.seed 0".replace("evaluation.", "")]


SWEPT = ("policy.seed", "evaluation.seed")


def test_csv_is_in_full_with_the_swept_settings(results, small_run):
    rows = {row["cell"]: row for row in table(results("--format", "csv"))}
    assert len(rows) == 6
    for record in small_run.result.records:
        row = rows[record.label]
        assert row["status"] == record.status
        for name, value in record.metrics.root.items():
            assert row[name] == ("" if value is None else str(value))
        for path, value in record.swept.items():
            assert row[path] == str(value)
    assert "DivergedError" in next(r["error"] for r in rows.values() if r["status"] == "failed")


def test_markdown_has_a_line_per_cell(results):
    lines = results("--format", "md", "--metric", "mse").out.splitlines()
    assert len(lines) == 8
    assert lines[0] == "| key | status | cell | mse | error |"


def test_json_has_its_alias_and_a_contradiction_is_refused(results):
    assert results("--json").out == results("--format", "json").out
    answer = results("--json", "--format", "csv")
    assert (answer.code, answer.out) == (2, "")
    assert "--json and --format csv" in answer.err


@pytest.mark.parametrize(
    ("options", "count"),
    [
        (("--where", "arm=policy"), 2),
        (("--where", "arm=policy", "--where", "policy.seed=1"), 1),
        (("--where", "lora.rank=2"), 5),
        (("--status", "failed"), 2),
        (("--status", "failed", "--status", "done"), 6),
        (("--status", "failed", "--where", "arm=policy"), 0),
    ],
)
def test_filters_hold_together(results, options, count):
    assert len(json.loads(results(*options, "--json").out)) == count
    assert len(table(results(*options, "--format", "csv"))) == count


def test_where_nothing_is_left_what_there_is_is_said(results):
    answer = results("--where", "lora.rank=3", "--json")
    assert (answer.code, json.loads(answer.out)) == (0, [])
    assert "none of the 6 cells" in answer.err
    assert "tokenizer.lora.rank: 2, 0" in answer.err or "tokenizer.lora.rank: 0, 2" in answer.err
    for columns in (None, 80):
        assert results("--status", "pending", columns=columns).code == 0


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--where", "lora.rnk=3"), "did you mean 'lora.rank'"),
        (("--metric", "pnsr"), "did you mean 'psnr'"),
        (("--status", "don"), "done"),
    ],
)
def test_what_does_not_exist_is_refused_with_the_nearest(results, options, expected):
    answer = results(*options)
    assert (answer.code, answer.out) == (2, "")
    assert expected in answer.err


def test_settings_in_which_rows_differ_are_shown_on_request(results):
    rows = {row["cell"]: row for row in table(results("--settings", "--format", "csv"))}
    assert rows["elastic"]["training.learning_rate"] == "0.01"
    assert rows["diverged: seed 0"]["training.learning_rate"] == "1e+30"
    assert "training.steps" not in rows["elastic"]
    assert "| training.learning_rate |" in results("--settings", "--format", "md").out


def test_a_document_of_every_eval_ever_per_line_for_cells_with_results(results, small_run):
    answer = results("--format", "eee", "--metric", "mse", "--metric", "bits")
    assert answer.code == 0
    documents = [json.loads(line) for line in answer.out.splitlines()]
    done = [record for record in small_run.result.records if record.done]
    keys = [one["source_metadata"]["additional_details"]["cell_key"] for one in documents]
    assert sorted(keys) == sorted(record.cell_key for record in done)
    for one in documents:
        ids = {result["metric_config"]["metric_id"] for result in one["evaluation_results"]}
        assert ids == {"adatok-bench.mse", "adatok-bench.bits"}
    assert len({one["evaluation_id"] for one in documents}) == len(documents)
    assert answer.err == "left out: 2 cells without results\n"
    none = results("--format", "eee", "--status", "failed")
    assert (none.code, none.out, none.err) == (0, "", "left out: 2 cells without results\n")
