import csv
import io

from bench.statistics.intervals import student_interval
from reports.tables.data import as_csv
from reports.tables.table import WORDS, Column, Row, Table, Value, measured, words

COLUMNS = (Column("system", "system", WORDS), Column("mse", "MSE", compared=True))


def lines(table):
    return list(csv.DictReader(io.StringIO(as_csv(table))))


def test_numbers_in_full_with_intervals_ties_and_cells():
    over = student_interval([0.1, 0.2, 0.3])
    value = measured(over, planned=3, tied=True)
    rows = (
        Row({"system": words("a, b"), "mse": value}, ("k1", "k2"), section="about 2"),
        Row({"system": words("c"), "mse": Value("not measured")}, ("k3",)),
    )
    first, second = lines(Table("t", "T", COLUMNS, rows))
    assert first["system"] == "a, b"
    assert float(first["mse"]) == over.mean
    assert (float(first["mse_low"]), float(first["mse_high"])) == (over.low, over.high)
    assert (first["mse_n"], first["mse_tied"], first["section"]) == ("3", "yes", "about 2")
    assert (first["cells"], first["status"]) == ("k1 k2", "done")
    assert (second["mse"], second["mse_low"], second["mse_tied"]) == ("not measured", "", "")


def test_what_belongs_to_a_difference_gets_columns():
    value = Value("+1", 1.0, more={"p_holm": 0.02}, verdict="better")
    (line,) = lines(Table("t", "T", COLUMNS, (Row({"mse": value}),)))
    assert (line["mse_p_holm"], line["mse_verdict"]) == ("0.02", "better")


def test_lines_end_alike_everywhere():
    assert "\r" not in as_csv(Table("t", "T", COLUMNS, (Row({"system": words("a")}),)))
