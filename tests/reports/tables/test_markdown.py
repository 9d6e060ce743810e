from reports.tables.markdown import as_markdown
from reports.tables.table import WORDS, Column, Row, Table, Value, words

COLUMNS = (Column("system", "system", WORDS), Column("mse", "MSE"))


def test_rows_sections_ties_and_notes():
    rows = (
        Row({"system": words("a|b"), "mse": Value("0.5", 0.5, tied=True)}, section="about 2"),
        Row({"system": words("c")}, section="about 2"),
    )
    text = as_markdown(Table("t", "Title", COLUMNS, rows, ("a note",)))
    assert text == (
        "### Title\n\n| system | MSE |\n| --- | ---: |\n| *about 2* |  |\n"
        "| a\\|b | **0.5** |\n| c | - |\n\n- a note\n"
    )


def test_without_rows_the_reason_stands():
    assert as_markdown(Table("t", "T", notes=("Not made: no.",))) == "### T\n\n- Not made: no.\n"
