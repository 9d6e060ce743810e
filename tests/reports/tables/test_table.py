import math

from bench.statistics.intervals import student_interval
from reports.tables.table import NOT_MEASURED, Column, Row, Table, Value, measured, number


def test_a_mean_says_its_interval():
    assert measured(student_interval([1.0, 1.2, 1.4]), planned=3).text == "1.200 [0.703, 1.697]"


def test_a_mean_says_its_own_n_where_seeds_lack_the_metric():
    assert measured(student_interval([1.0, 1.2]), planned=3).text.endswith("(n = 2)")


def test_one_seed_has_no_brackets():
    assert measured(student_interval([1.5]), planned=1).text == "1.500"


def test_whole_numbers_that_never_vary_are_short():
    assert measured(student_interval([6.0, 6.0]), planned=2).text == "6"


def test_what_is_absent_is_said():
    assert measured(None, planned=3).text == NOT_MEASURED
    assert number(None).text == number(math.nan).text == NOT_MEASURED


def test_sections_keep_the_order_of_rows():
    rows = tuple(Row({"a": Value(str(i))}, section=s) for i, s in enumerate("xyx"))
    table = Table("t", "T", (Column("a", "a"),), rows)
    assert [(name, len(found)) for name, found in table.sections] == [("x", 2), ("y", 1)]
